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

"""An Open vSwitch of the tests' own, beside any that the machine has."""

import os
import pathlib
import subprocess
import unittest

import os_vif
from vif_plug_ovs.ovsdb import impl_idl

from nova_docker.conf import CONF
from nova_docker.tests.functional.network import processes

BRIDGE = 'br-int'
_SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'


class Database:
    """Open vSwitch's database without a switch, in a directory."""

    def __init__(self, directory: str) -> None:
        self.connection = f'unix:{directory}/db.sock'
        self._directory = directory
        self._environment = {**os.environ, 'OVS_RUNDIR': directory,
                             'OVS_DBDIR': directory}
        processes.run('ovsdb-tool', 'create', f'{directory}/conf.db', _SCHEMA)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start('ovsdb-server', f'--remote=p{self.connection}',
                    f'{directory}/conf.db')
        processes.wait_for(pathlib.Path(directory, 'db.sock').exists,
                           'OVSDB listens')
        self.vsctl('--no-wait', 'init')

    def _start(self, program: str, *arguments: str) -> None:
        self._processes.append(subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', program, *arguments,
             f'--unixctl={self._directory}/{program}.ctl', '-vconsole:off',
             '-vsyslog:off', f'--log-file={self._directory}/{program}.log'],
            env=self._environment, stderr=subprocess.DEVNULL))

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl on the database and return its output."""
        return processes.run(
            'ovs-vsctl', '--timeout=100', '--retry',
            f'--db={self.connection}',
            *arguments).strip()

    def stop(self) -> None:
        """End its processes."""
        for process in reversed(self._processes):
            processes.end(process)


class Switch(Database):
    """An Open vSwitch with a userspace datapath, in a directory."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._start('ovs-vswitchd', self.connection)
        self.vsctl('add-br', BRIDGE, '--', 'set', 'Bridge', BRIDGE,
                   'datapath_type=netdev')

    def restart(self) -> None:
        """End the switch, not its database, and start it again."""
        processes.end(self._processes.pop())
        self._start('ovs-vswitchd', self.connection)
        # Returns when the switch has done what the database says.
        self.vsctl('set', 'Open_vSwitch', '.', 'external_ids:restarted=true')

    def set_flows(self, *flows: str) -> None:
        """Replace the flows of the bridge."""
        management = f'unix:{self._directory}/{BRIDGE}.mgmt'
        processes.run('ovs-ofctl', 'del-flows', management)
        for flow in flows:
            processes.run('ovs-ofctl', 'add-flow', management, flow)

    def ports(self, bridge: str = BRIDGE) -> list[str]:
        """Return the names of a bridge's ports."""
        return self.vsctl('list-ports', bridge).split()


def use(test: type[unittest.TestCase], connection: str) -> None:
    """Let os-vif talk to this switch as long as a class's tests run."""
    test.addClassCleanup(disconnect)
    os_vif.initialize()
    CONF.set_override('ovsdb_connection', connection, 'os_vif_ovs')
    test.addClassCleanup(CONF.clear_override, 'ovsdb_connection',
                         'os_vif_ovs')
    # The plugin reads the option once, when it is made.
    os_vif.initialize(reset=True)


def disconnect() -> None:
    """End the connection to the switch, of which a process has but one."""
    backend = impl_idl.NeutronOvsdbIdl
    if backend._ovsdb_connection is not None:
        backend._ovsdb_connection.stop()
        backend._ovsdb_connection = None
