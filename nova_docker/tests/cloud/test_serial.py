# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The serial console of a server, as a user's browser has it."""

from __future__ import annotations

import functools
import random

from nova_docker.tests import browser
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds

#: Seconds in which a shell stops that somebody looks at.
_PROMPTLY = 30


class SerialTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.make.server(
            metadata={'docker:command': 'sh'}, wait=('ACTIVE',))

    def url(self) -> str:
        return str(clouds.openstack_command(
            'console', 'url', 'show', '--serial', '-f', 'value', '-c', 'url',
            self.server.id)).strip()

    def connect(self, url: str = '') -> browser.Browser:
        opened = browser.Browser(url or self.url())
        self.addCleanup(opened.leaves)
        return opened

    def assert_shows(self, text: bytes, *viewers: browser.Browser) -> None:
        clouds.wait_until(
            lambda: all(text in each.look() for each in viewers),
            f'every viewer sees {text!r}')

    def assert_works(self, *viewers: browser.Browser) -> None:
        """What each types, the shell does, and all see what it answers."""
        for each in viewers:
            number = random.randrange(10 ** 9)
            each.types(b'echo is $((%d + 1))\n' % number)
            self.assert_shows(b'is %d' % (number + 1), *viewers)

    def assert_hears(self, *viewers: browser.Browser) -> None:
        """What is typed reaches the shell, at some time.

        As on any serial line it is lost while nobody listens, such as a
        moment after the server has begun to run again.
        """
        number = random.randrange(10 ** 9)

        def is_answered(one: browser.Browser) -> bool:
            one.types(b'echo heard $((%d + 1))\n' % number)
            return b'heard %d' % (number + 1) in one.look()
        for each in viewers:
            clouds.wait_until(functools.partial(is_answered, each),
                              'the shell answers')
            number += 1

    def assert_cut_off(self, viewer: browser.Browser) -> None:
        def is_cut_off() -> bool:
            viewer.look()
            return viewer.is_cut_off
        clouds.wait_until(is_cut_off, 'the viewer is told of the end')

    def test_several_viewers(self) -> None:
        one, other = self.connect(), self.connect()
        self.assert_works(one, other)
        one.leaves()
        self.assert_works(other)
        self.assert_works(other, self.connect())

    def test_reboots(self) -> None:
        viewers = self.connect(), self.connect()
        self.assert_works(*viewers)
        for kind in ('SOFT', 'HARD'):
            self.server.reboot(kind)
            self.assert_hears(*viewers)
            self.assert_works(*viewers)

    def test_stop_and_start(self) -> None:
        viewer = self.connect()
        self.assert_works(viewer)
        clouds.connection('demo').compute.stop_server(self.server.id)
        self.server.wait_for('SHUTOFF', seconds=_PROMPTLY)
        with self.assertRaisesRegex(AssertionError, 'is not ready'):
            self.url()
        self.server.start()
        viewers = viewer, self.connect()
        self.assert_hears(*viewers)
        self.assert_works(*viewers)

    def test_pause(self) -> None:
        viewer = self.connect()
        self.assert_works(viewer)
        self.server.pause()
        late = self.connect()
        self.server.unpause()
        self.assert_hears(viewer, late)
        self.assert_works(viewer, late)

    def test_the_log_comes_first(self) -> None:
        viewer = self.connect()
        viewer.types(b'echo hello $((6 * 7))\n')
        self.assert_shows(b'hello 42', viewer)
        viewer.leaves()
        self.assert_shows(b'hello 42', self.connect())

    def test_a_viewer_that_stops_looking(self) -> None:
        """It holds up neither the server nor its host."""
        deaf = self.connect()
        self.assert_works(deaf)
        # Some 7 MB, more than any buffer on the way takes.
        deaf.types(b'seq 1000000; echo is $((6 * 7))\n')
        self.server.wait_for_console('is 42')
        self.assert_works(self.connect())
        self.make.server(wait=('ACTIVE',))
        clouds.connection('demo').compute.stop_server(self.server.id)
        self.server.wait_for('SHUTOFF', seconds=_PROMPTLY)

    def test_the_end_of_the_server(self) -> None:
        viewer = self.connect()
        self.assert_works(viewer)
        url = self.url()
        self.make.delete(self.server)
        self.assert_cut_off(viewer)
        self.assert_cut_off(self.connect(url))

    def test_a_wrong_token(self) -> None:
        head, _equals, _token = self.url().partition('=')
        stranger = self.connect(f'{head}=guessed')
        self.assert_cut_off(stranger)
        self.assertEqual(b'', stranger.seen)
