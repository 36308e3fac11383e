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

"""What a server says on its console, and that it ends with its command."""

from __future__ import annotations

import datetime

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers

#: Seconds after which a server whose command has ended shows SHUTOFF. Nova
#: alone would see it after ten minutes.
_PROMPTLY = 60
#: Nova's times are whole seconds, cut off.
_SECOND = datetime.timedelta(seconds=1)
#: Bytes of console log that one request gives, by default.
_BOUND = 100 * 1024


def _utc(timestamp: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(timestamp).replace(
        tzinfo=datetime.UTC)


class ConsoleTestCase(base.CloudTestCase):
    def _assert_prompt(self, ended: servers.Server) -> None:
        """SHUTOFF, which is seen now for the first time, came in time."""
        seen = datetime.datetime.now(datetime.UTC)
        # Its command may have ended before Nova was through with the boot.
        since = max(
            _utc(host.workload(ended.id)['State']['FinishedAt']),
            _utc(ended.show().launched_at) + _SECOND)
        self.assertLess((seen - since).total_seconds(), _PROMPTLY)

    def test_the_network_is_there_first(self) -> None:
        image = self.make.image(archives.busybox(['ip', 'address']))
        printer = self.make.server(image, wait=('SHUTOFF',))
        self._assert_prompt(printer)
        shown = printer.console()
        self.assertIn('eth0', shown)
        self.assertIn(f'inet {printer.addresses()[0]}/24', shown)

    def test_shutoff_follows_the_end_at_once(self) -> None:
        image = self.make.image(archives.busybox(['sleep', '8']))
        sleeper = self.make.server(image)
        sleeper.wait_for('SHUTOFF')
        self._assert_prompt(sleeper)

    def test_console_log_by_command(self) -> None:
        talker = self.make.server(metadata={
            'docker:command': "sh -c 'seq 1000; cat'"})
        talker.wait_for_console('1000\n')
        last = clouds.openstack_command(
            'console', 'log', 'show', '--lines', '3', talker.id)
        # To Nova, what follows the last end of line is a line too.
        self.assertEqual(['999', '1000'], last.split())

    def test_a_long_log_is_bounded(self) -> None:
        talker = self.make.server(metadata={
            'docker:command': "sh -c 'seq 100000; cat'"})
        shown = talker.wait_for_console('\n100000\n')
        self.assertLessEqual(len(shown), _BOUND)
        self.assertGreater(len(shown), _BOUND // 2)

    def test_any_bytes(self) -> None:
        image = self.make.image(archives.busybox(
            ['cat', '/words'],
            files={'words': 'Grüße ☃ '.encode() + b'\xff\x00\n'}))
        # Nova shows ASCII, a mark for any other byte, and leaves zeros out.
        # The engine keeps text: what is none it may have replaced before, by
        # a character of three bytes.
        self.assertRegex(self.make.server(image).printed(),
                         '^Gr\ufffd{4}e \ufffd{3} \ufffd{1,3}$')
