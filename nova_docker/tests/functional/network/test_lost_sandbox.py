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

"""Servers whose sandbox somebody has ended, on a real engine and switch."""

from __future__ import annotations

from nova import exception
from nova.network import model
from nova_docker import names
from nova_docker.network import connection
from nova_docker.tests.functional import base as engine
from nova_docker.tests.functional.network import base
from nova_docker.tests.functional.network import ports
from nova_docker.tests.functional.network import processes


class LostSandboxTestCase(engine.EngineTestCase, base.NetworkTestCase):
    """The workload keeps the network namespace that it has joined."""

    def setUp(self) -> None:
        super().setUp()
        # What was set for the class ends with its first test.
        self.flags(ovsdb_connection=self.switch.connection,
                   group='os_vif_ovs')
        self.network = connection.Connection(self.boxes, self.wiring)
        self.vif = ports.make_vif(1)
        self.ports = model.NetworkInfo([self.vif])
        self.instance = self.make_instance(
            metadata={'docker:command': 'sleep 9999'})
        self.addCleanup(self.network.unplug, self.instance, self.ports)
        self.network.ensure(self.instance, self.ports)
        self.engine.start(self.create(self.instance, self.make_image()))
        self.box = names.sandbox(self.instance.uuid)

    def see(self, *command: str) -> str:
        """Run a command of the host's in the workload's network."""
        return processes.run('nsenter', '--net', '--target',
                             str(self.state(self.instance)['Pid']), *command)

    def assert_stays_connected(self, *ends: str) -> None:
        """Let Nova start after the sandbox was ended in a way."""
        before = self.see('ip', 'address')
        for act in ends:
            getattr(self, act)()
        with self.assertLogs(connection.__name__, 'WARNING') as logs:
            self.network.restore(self.instance, self.ports)
            self.assertEqual(before, self.see('ip', 'address'))
        self.assertIn('rebooted', logs.output[0])
        self.assertIn('10.9.0.1/24', before)
        self.assertEqual([self.vif['devname']], self.switch.ports())

    def end(self) -> None:
        self.engine.stop(self.box, 0)

    def begin(self) -> None:
        self.engine.start(self.box)

    def remove(self) -> None:
        self.engine.remove(self.box)

    def test_a_start_of_nova_leaves_the_server_its_ports(self) -> None:
        self.assert_stays_connected('end')

    def test_so_it_does_if_the_sandbox_was_removed(self) -> None:
        self.assert_stays_connected('remove')

    def test_so_it_does_if_the_sandbox_was_started_again(self) -> None:
        self.assert_stays_connected('end', 'begin')

    def test_no_port_is_attached_that_the_server_would_not_see(self) -> None:
        self.end()
        other = ports.make_vif(2)
        self.addCleanup(self.network.detach, self.instance, other)
        error = self.assertRaises(
            exception.InterfaceAttachFailed,
            self.network.attach, self.instance, other)
        self.assertIn('rebooted', str(error))
        self.assertEqual([self.vif['devname']], self.switch.ports())
        self.assertIn('10.9.0.1/24', self.see('ip', 'address'))

    def test_a_reboot_gives_it_its_sandbox_back(self) -> None:
        self.end()
        self.network.restore(self.instance, self.ports)
        self.make_power().reboot(self.instance, self.ports, hard=True)
        self.assertIn('10.9.0.1/24', self.see('ip', 'address'))
        other = ports.make_vif(2)
        self.addCleanup(self.network.detach, self.instance, other)
        self.network.attach(self.instance, other)
        self.assertIn('10.9.0.2/24', self.see('ip', 'address'))

    def test_one_that_has_its_sandbox_is_restored_in_full(self) -> None:
        self.see('ip', 'address', 'flush', 'dev', 'eth0')
        self.network.restore(self.instance, self.ports)
        self.assertIn('10.9.0.1/24', self.see('ip', 'address'))
