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

"""Stop, start, reboot, pause: addresses and data stay."""

from __future__ import annotations

import datetime

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import host

#: A service that needs a while to end well, and shows whether it was let.
_SERVICE = ('trap "echo stopping; sleep 4; echo bye; exit 0" TERM; '
            'echo ready; while :; do sleep 1; done')
#: Seconds, far from those that Nova would wait for a command to end.
_AT_ONCE = 30


class PowerTestCase(base.ServerTestCase):
    """One server, which every test leaves as it was: running."""

    preparation = 'echo precious > /root/data; sync'

    def setUp(self) -> None:
        super().setUp()
        if self.server.show().status != 'ACTIVE':
            self.server.reboot('HARD')
        self.addresses = self.server.addresses()
        self.started = self._started()

    def _started(self) -> str:
        return str(host.workload(self.server.id)['State']['StartedAt'])

    def _assert_same_server(self, restarted: bool) -> None:
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self.assertEqual(self.addresses, self.server.addresses())
        self.assertIn(self.addresses[0],
                      self.guest.run('ip -o address show eth0'))
        (self.assertNotEqual if restarted else self.assertEqual)(
            self.started, self._started())

    def _assert_last_succeeded(self, action: str) -> None:
        self.assertEqual('Success', self.server.result(action))
        self.assertIsNone(self.server.actions(action)[0].message)

    def test_stop_and_start(self) -> None:
        self.server.stop()
        self._assert_last_succeeded('stop')
        self.assertFalse(self.guest.is_reachable())
        self.server.start()
        self._assert_last_succeeded('start')
        self._assert_same_server(restarted=True)

    def test_soft_reboot(self) -> None:
        self.server.reboot('SOFT')
        self._assert_last_succeeded('reboot')
        self._assert_same_server(restarted=True)

    def test_hard_reboot(self) -> None:
        self.server.reboot('HARD')
        self._assert_last_succeeded('reboot')
        self._assert_same_server(restarted=True)

    def test_hard_reboot_starts_a_stopped_server(self) -> None:
        self.server.stop()
        self.server.reboot('HARD')
        self._assert_last_succeeded('reboot')
        self._assert_same_server(restarted=True)

    def test_pause_and_unpause(self) -> None:
        self.server.pause()
        self._assert_last_succeeded('pause')
        self.assertTrue(host.workload(self.server.id)['State']['Paused'])
        self.assertFalse(self.guest.is_reachable())
        self.server.unpause()
        self._assert_last_succeeded('unpause')
        self._assert_same_server(restarted=False)

    def test_shutoff_by_its_own_command(self) -> None:
        """What ends by itself is not restarted behind the user's back."""
        self.guest.run('(sleep 1; kill -KILL -1) >/dev/null 2>&1 &')
        self.server.wait_for('SHUTOFF')
        self.server.start()
        self._assert_same_server(restarted=True)


class StopTestCase(base.CloudTestCase):
    def test_a_shell_stops_at_once(self) -> None:
        """Though a shell ignores SIGTERM; Nova's time-out is a minute."""
        shell = self.make.server('busybox')
        shell.stop()
        shell.result('stop')
        [action] = shell.actions('stop')
        [event] = [each for each in shell.events(action)
                   if each['event'] == 'compute_stop_instance']
        began, ended = (datetime.datetime.fromisoformat(event[each])
                        for each in ('start_time', 'finish_time'))
        self.assertLess((ended - began).total_seconds(), _AT_ONCE)

    def test_a_service_gets_its_signal_and_its_time(self) -> None:
        service = self.make.server(metadata={
            'docker:command': f"sh -c '{_SERVICE}'"})
        service.wait_for_console('ready\n')
        service.stop()
        self.assertTrue(service.console().endswith('stopping\nbye\n'))
        self.assertEqual(0, host.workload(service.id)['State']['ExitCode'])

    def test_a_reboot_is_asked_for(self) -> None:
        service = self.make.server(metadata={
            'docker:command': f"sh -c '{_SERVICE}'"})
        service.wait_for_console('ready\n')
        service.reboot('SOFT')
        service.wait_for_console('bye\nready\n')

    def test_too_much_memory_ends_a_server(self) -> None:
        """The limit is real: nobody gets more than the flavor gives."""
        greedy = self.make.server(metadata={'docker:command': (
            "sh -c 'echo begun; exec dd if=/dev/zero of=/dev/null bs=200M'")})
        self.assertEqual('begun', greedy.printed())
        self.assertEqual(137, host.workload(greedy.id)['State']['ExitCode'])
