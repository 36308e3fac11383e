#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Passwords in real containers."""

from __future__ import annotations

import fixtures

from nova import exception
from nova_docker.engine import streams
from nova_docker import errors
from nova_docker.instances import password
from nova_docker.tests.functional import base

#: Takes what comes, and keeps it.
TAKES = base.program('bin/chpasswd', 'cat >/entered')
REFUSES = base.program('bin/chpasswd', 'echo "too simple" >&2; exit 3')
#: Neither goes on for ever, so that each test ends without the limit, too.
FLOODS = base.program('bin/chpasswd', 'exec head -c 99999999 /dev/zero')
TRICKLES = base.program(
    'bin/chpasswd', 'for each in 1 2 3 4 5 6 7 8 9; do echo; sleep 1; done')
CHATTERS = base.program('bin/chpasswd', 'yes no | head -c 60000; exit 3')

#: Seconds that are too few for what trickles.
SHORT = 1


class PasswordTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.password = password.Password(self.engine, self.contents)

    def test_it_is_entered(self) -> None:
        instance = self.run_workload(self.make_image(TAKES))
        self.password.set(instance, 'se cr:et$x')
        _code, entered = self.engine.run(f'nova-{instance.uuid}',
                                         ['cat', '/entered'])
        self.assertEqual(b'root:se cr:et$x\n', entered)

    def test_an_image_without_a_way(self) -> None:
        instance = self.run_workload(self.make_image())
        error = self.assertRaises(exception.SetAdminPasswdNotSupported,
                                  self.password.set, instance, 'secret')
        self.assertIn("no 'chpasswd'", str(error))
        self.assertNotIn('secret', str(error))

    def test_it_is_refused(self) -> None:
        instance = self.run_workload(self.make_image(REFUSES))
        error = self.assertRaises(exception.InstancePasswordSetFailed,
                                  self.password.set, instance, 'secret')
        self.assertIn('ended with 3: too simple', str(error))


class StrangeProgramTestCase(base.EngineTestCase):
    """What is called chpasswd is the tenant's, as the image is."""

    def set(self, chpasswd: base.Entry) -> None:
        """Set the password of a server that has this program."""
        instance = self.run_workload(self.make_image(chpasswd))
        password.Password(self.engine, self.contents).set(instance, 'secret')

    def test_it_floods(self) -> None:
        error = self.assertRaises(errors.EngineError, self.set, FLOODS)
        self.assertIn('wrote more than', error.message)

    def test_it_trickles(self) -> None:
        exchange = streams.exchange
        # Only this call is short of time: the others need the engine's.
        self.useFixture(fixtures.MockPatchObject(
            streams, 'exchange', autospec=True,
            side_effect=lambda answer, entered, _seconds: exchange(
                answer, entered, SHORT)))
        error = self.assertRaises(errors.EngineError, self.set, TRICKLES)
        self.assertIn('has not ended', error.message)
        # That would be the engine's fault.
        self.assertNotIsInstance(error, errors.EngineUnavailable)

    def test_little_is_told_of_much(self) -> None:
        error = self.assertRaises(exception.InstancePasswordSetFailed,
                                  self.set, CHATTERS)
        self.assertIn('ended with 3: no', str(error))
        self.assertLess(len(str(error)), 2000)
