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

"""A host of its own for network tests: namespace, switch, containers."""

from collections.abc import Callable
import ctypes
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any
from typing import ClassVar
import unittest

from nova.network import model
from nova import objects
import os_vif
from oslo_privsep import priv_context
from oslo_utils import uuidutils
from vif_plug_ovs.ovsdb import impl_idl
from vif_plug_ovs import privsep as os_vif_privsep

from nova_docker.conf import CONF
from nova_docker.network import datapath
from nova_docker.network import wiring
from nova_docker import privsep
from nova_docker.privsep import namespaces

_SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
_CLONE_NEWNET = 0x40000000
_TIMEOUT = 20
BRIDGE = 'br-int'

_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until a condition holds and return what it gave."""
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f'not within {_TIMEOUT} s: {what}')


def run(*command: str) -> str:
    """Run a command and return its output."""
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=_TIMEOUT)
    assert done.returncode == 0, f'{command}: {done.stderr}'
    return done.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT)
    finally:
        process.kill()


class Container:
    """A process without capabilities in namespaces of its own.

    :param isolation: options of unshare(1)
    :param uid: the user who starts it
    """

    def __init__(self, *isolation: str, uid: int = 0) -> None:
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', f'--reuid={uid}',
             'unshare', *isolation, 'setpriv', '--bounding-set=-all',
             '--inh-caps=-all', 'sleep', 'infinity'])
        self.pid = self._process.pid
        comm = pathlib.Path(f'/proc/{self.pid}/comm')
        wait_for(lambda: comm.read_text().strip() == 'sleep', 'sleep runs')

    def run(self, *command: str) -> str:
        """Run a command in the container's network namespace."""
        return run('nsenter', '--net', '--target', str(self.pid), *command)

    def write(self, path: str, value: int) -> None:
        """Write to a file of its /proc/sys/net."""
        self.run('sh', '-c', f'echo {value} > {path}')

    def socket(self, make: Callable[..., socket.socket],
               *arguments: Any) -> socket.socket:
        """Return a socket made in the container's network namespace."""
        with namespaces.of_process(self.pid) as namespace:
            return namespaces.run_in(namespace, make, *arguments)

    def links(self) -> dict[str, Any]:
        """Return its interfaces by name, loopback not among them."""
        found = json.loads(self.run('ip', '-json', '-details', 'address'))
        return {link['ifname']: link for link in found
                if link['ifname'] != 'lo'}

    def addresses(self, name: str = 'eth0') -> set[str]:
        """Return an interface's addresses but the link's own."""
        return {f"{address['local']}/{address['prefixlen']}"
                for address in self.links()[name]['addr_info']
                if address['scope'] == 'global'}

    def routes(self, version: int = 4) -> set[str]:
        """Return its static routes, in the words of ip-route(8)."""
        output = self.run('ip', f'-{version}', 'route', 'show', 'proto',
                          'static')
        return {line.strip() for line in output.splitlines()}

    def kill(self) -> None:
        """End it, and its namespace with it."""
        self._process.kill()
        self._process.wait()


class Database:
    """Open vSwitch's database without a switch, in a directory."""

    def __init__(self, directory: str) -> None:
        self.connection = f'unix:{directory}/db.sock'
        self._directory = directory
        self._environment = {**os.environ, 'OVS_RUNDIR': directory,
                             'OVS_DBDIR': directory}
        run('ovsdb-tool', 'create', f'{directory}/conf.db', _SCHEMA)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start('ovsdb-server', f'--remote=p{self.connection}',
                    f'{directory}/conf.db')
        wait_for(pathlib.Path(directory, 'db.sock').exists, 'OVSDB listens')
        self.vsctl('--no-wait', 'init')

    def _start(self, program: str, *arguments: str) -> None:
        self._processes.append(subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', program, *arguments,
             f'--unixctl={self._directory}/{program}.ctl', '-vconsole:off',
             '-vsyslog:off', f'--log-file={self._directory}/{program}.log'],
            env=self._environment, stderr=subprocess.DEVNULL))

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl on the database and return its output."""
        return run('ovs-vsctl', '--timeout=10', f'--db={self.connection}',
                   *arguments).strip()

    def stop(self) -> None:
        """End its processes."""
        for process in reversed(self._processes):
            _end(process)


class Switch(Database):
    """An Open vSwitch with a userspace datapath, in a directory."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._start('ovs-vswitchd', self.connection)
        self.vsctl('add-br', BRIDGE, '--', 'set', 'Bridge', BRIDGE,
                   'datapath_type=netdev')

    def restart(self) -> None:
        """End the switch, not its database, and start it again."""
        _end(self._processes.pop())
        self._start('ovs-vswitchd', self.connection)
        # Returns when the switch has done what the database says.
        self.vsctl('set', 'Open_vSwitch', '.', 'external_ids:restarted=true')

    def set_flows(self, *flows: str) -> None:
        """Replace the flows of the bridge."""
        management = f'unix:{self._directory}/{BRIDGE}.mgmt'
        run('ovs-ofctl', 'del-flows', management)
        for flow in flows:
            run('ovs-ofctl', 'add-flow', management, flow)

    def ports(self, bridge: str = BRIDGE) -> list[str]:
        """Return the names of a bridge's ports."""
        return self.vsctl('list-ports', bridge).split()


class NetworkTestCase(unittest.TestCase):
    """A test on a host of its own; root is needed.

    The host is a network namespace: nothing of the machine's network is
    touched, and what a test leaves behind ends with it. Privileged
    functions run in daemons of their own, as they do under nova-compute.
    """

    switch: ClassVar[Switch]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        objects.register_all()
        cls._enter_own_host()
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.switch = Switch(directory)
        cls.addClassCleanup(cls.switch.stop)
        cls._start_daemons()
        use_switch(cls, cls.switch)

    @classmethod
    def _enter_own_host(cls) -> None:
        machine = os.open('/proc/self/ns/net', os.O_RDONLY)
        cls.addClassCleanup(os.close, machine)
        assert _libc.unshare(_CLONE_NEWNET) == 0, os.strerror(
            ctypes.get_errno())
        cls.addClassCleanup(_libc.setns, machine, _CLONE_NEWNET)
        run('ip', 'link', 'set', 'lo', 'up')

    @classmethod
    def _start_daemons(cls) -> None:
        cls.restart_daemon()
        cls.restart_daemon('', os_vif_privsep.vif_plug,
                           'vif_plug_ovs_privileged')

    @classmethod
    def restart_daemon(
        cls, arguments: str = '',
        context: priv_context.PrivContext = privsep.network_pctxt,
        section: str = 'docker_network_privileged',
    ) -> None:
        """End a daemon of privileged functions; the next call starts one."""
        helper = pathlib.Path(sys.executable).with_name('privsep-helper')
        path = ':'.join(sys.path)
        context.stop()
        CONF.set_override('helper_command', f'env PYTHONPATH={path} {helper} '
                          f'{arguments}', section)
        cls.addClassCleanup(CONF.clear_override, 'helper_command', section)
        cls.addClassCleanup(context.stop)

    def setUp(self) -> None:
        super().setUp()
        self.instance = objects.Instance(
            id=1, uuid=uuidutils.generate_uuid(), project_id='project')
        self.wiring = wiring.Wiring(datapath.Datapath())

    def container(self, *isolation: str, uid: int = 0) -> Container:
        """Start a container that ends with the test."""
        container = Container('--net', *isolation, uid=uid)
        self.addCleanup(container.kill)
        return container


def use_switch(test: type[unittest.TestCase], database: Database) -> None:
    """Let os-vif talk to this switch as long as a class's tests run."""
    test.addClassCleanup(_disconnect)
    os_vif.initialize()
    CONF.set_override('ovsdb_connection', database.connection, 'os_vif_ovs')
    test.addClassCleanup(CONF.clear_override, 'ovsdb_connection',
                         'os_vif_ovs')
    # The plugin reads the option once, when it is made.
    os_vif.initialize(reset=True)


def _disconnect() -> None:
    """End the connection to the switch, of which a process has but one."""
    backend = impl_idl.NeutronOvsdbIdl
    if backend._ovsdb_connection is not None:
        backend._ovsdb_connection.stop()
        backend._ovsdb_connection = None


def host_links() -> set[str]:
    """Return the names of the host's links."""
    return {link['ifname'] for link in json.loads(run('ip', '-j', 'link'))}


def make_vif(number: int, **changes: Any) -> model.VIF:
    """Return a port as Nova gets it from Neutron, of two subnets.

    :param number: of the port; tells its addresses, from 1 to 200
    :param changes: attributes of the VIF to set differently
    """
    network = model.Network(
        id=uuidutils.generate_uuid(), bridge=BRIDGE, label='private',
        subnets=[subnet_v4(number), subnet_v6(number)], mtu=1442)
    port = uuidutils.generate_uuid()
    return model.VIF(**{
        'id': port,
        'address': f'fa:16:3e:00:00:{number:02x}',
        'network': network,
        'type': model.VIF_TYPE_OVS,
        'details': {'datapath_type': 'netdev'},
        'devname': f'tap{port[:11]}',
        'ovs_interfaceid': port,
        **changes})


def subnet_v4(*numbers: int) -> model.Subnet:
    """Return an IPv4 subnet and a port's addresses of it."""
    return model.Subnet(
        cidr='10.9.0.0/24',
        gateway=model.IP('10.9.0.254', 'gateway'),
        ips=[model.FixedIP(address=f'10.9.0.{number}') for number in numbers],
        routes=[model.Route('192.0.2.0/24',
                            model.IP('10.9.0.253', 'gateway'))])


def subnet_v6(*numbers: int, **meta: Any) -> model.Subnet:
    """Return an IPv6 subnet and a port's addresses of it."""
    return model.Subnet(
        cidr='2001:db8::/64',
        gateway=model.IP('2001:db8::fe', 'gateway'),
        ips=[model.FixedIP(address=f'2001:db8::{number:x}')
             for number in numbers], **meta)
