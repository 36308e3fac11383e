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

"""The installation page, followed on a machine with Debian and its Nova."""

from __future__ import annotations

import json
import subprocess
import unittest

from nova_docker.tests import alike
from nova_docker.tests.cloud import clouds
from nova_docker.tests.extras import machine
from nova_docker.tests import guides

#: The engine touches nothing of the network, which is this machine's.
_ENGINE = {'bridge': 'none', 'iptables': False, 'ip6tables': False,
           'ip-forward': False, 'ip-masq': False}
#: What the page takes as being there, started as the init would.
_SERVICES = """
mkdir -p /run/openvswitch /var/lib/lxcfs
ovsdb-tool create /run/openvswitch/conf.db
ovsdb-server /run/openvswitch/conf.db --detach \
    --pidfile=/run/openvswitch/ovsdb-server.pid \
    --remote=punix:/run/openvswitch/db.sock
chgrp nova /run/openvswitch/db.sock
chmod g+w /run/openvswitch/db.sock
ovs-vsctl --no-wait init
ovs-vsctl --no-wait add-br br-int
lxcfs /var/lib/lxcfs >/var/log/lxcfs.log 2>&1 &
dockerd >/var/log/dockerd.log 2>&1 &
"""
_CONFIGURATION = """
[DEFAULT]
compute_driver = docker.DockerDriver
[os_vif_ovs]
ovsdb_connection = unix:/run/openvswitch/db.sock
"""
_LOAD = """
import nova.conf
from nova.virt import driver
from nova.virt import virtapi
nova.conf.CONF([], project='nova', prog='nova-compute')
loaded = driver.load_compute_driver(virtapi.VirtAPI())
print(type(loaded).__name__)
"""


class InstallationTestCase(unittest.TestCase):
    """Debian 13 has a Nova of its own, the oldest that the driver is for."""

    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        self.likeness = alike.Likeness()
        self.machine = machine.Machine(
            self.addCleanup, 'nova-compute', 'neutron-openvswitch-agent',
            'sudo', 'curl')
        subprocess.run(
            ['git', 'clone', '--quiet', guides.SOURCE,
             self.machine.root / 'root' / 'nova-docker'], check=True)
        self.machine.write('/etc/apt/apt.conf.d/yes',
                           'APT::Get::Assume-Yes "true";\n')
        self.machine.write('/etc/docker/daemon.json', json.dumps(_ENGINE))
        self.machine.write('/etc/nova/nova-compute.conf', _CONFIGURATION)

    def test_page(self) -> None:
        engine, *others, check, faulty = guides.typed(guides.INSTALLATION)
        self._type(engine)
        self.machine.run(_SERVICES)
        clouds.wait_until(self._engine_answers, 'the engine answers')
        for command in others:
            self._type(command)
        # The storage driver and the clock are this machine's.
        self.assertIn('Every privileged daemon starts',
                      self._check(check, 0, 1))
        for command in guides.typed(guides.CHECK):
            self._check(command, 0, 1)
        self._nova_loads_it()
        # As if that step had been left out.
        self.machine.run('gpasswd --delete nova docker')
        self._check(faulty, 2)

    def _type(self, command: guides.Command) -> None:
        self.assertEqual([], [line for line in command.output if line.strip()])
        self.machine.run(command.text)

    def _check(self, command: guides.Command, *expected: int) -> str:
        """Check the host; what is said is what the page shows."""
        status, said = self.machine.shell.run(command.text, clouds.PATIENCE)
        self.assertIn(status, expected, said)
        self.assertTrue(self.likeness.covers(command.output, said), said)
        return said

    def _engine_answers(self) -> bool:
        return self.machine.shell.run(
            'curl --fail --silent --unix-socket /run/docker.sock '
            'http://engine/_ping', clouds.PATIENCE)[0] == 0

    def _nova_loads_it(self) -> None:
        """Let that Nova make the driver that its options name."""
        self.machine.write('/root/load', _LOAD)
        self.assertEqual('DockerDriver', self.machine.run(
            'sudo -u nova python3 </root/load').split()[-1])
