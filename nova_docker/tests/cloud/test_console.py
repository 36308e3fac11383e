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

#: Seconds after which a server whose command has ended shows SHUTOFF.
_PROMPTLY = 5
#: Bytes of console log that one request gives, by default.
_BOUND = 100 * 1024


class ConsoleTestCase(base.CloudTestCase):
    def test_the_network_is_there_first(self) -> None:
        image = self.make.image(archives.busybox(['ip', 'address']))
        printer = self.make.server(image)
        shown = printer.printed()
        self.assertIn('eth0', shown)
        self.assertIn(f'inet {printer.addresses()[0]}/24', shown)

    def test_shutoff_follows_the_end_at_once(self) -> None:
        image = self.make.image(archives.busybox(
            ['sh', '-c', 'echo begun; read line < /etc/nothing; sleep 8']))
        printer = self.make.server(image)
        printer.wait_for('SHUTOFF')
        seen = datetime.datetime.now(datetime.UTC)
        state = host.workload(printer.id)['State']
        ended = datetime.datetime.fromisoformat(state['FinishedAt'])
        self.assertLess((seen - ended).total_seconds(), _PROMPTLY)

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
        self.assertIn('Gr', self.make.server(image).printed())
