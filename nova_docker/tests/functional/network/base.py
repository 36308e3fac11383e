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
import os
import pathlib
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
from oslo_utils import uuidutils
from vif_plug_ovs import privsep as os_vif_privsep

from nova_docker.conf import CONF
from nova_docker import privsep

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


class Container:
    """A process in a network namespace of its own, without capabilities."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--net', 'setpriv',
             '--bounding-set=-all', '--inh-caps=-all', 'sleep', 'infinity'])
        self.pid = self._process.pid
        comm = pathlib.Path(f'/proc/{self.pid}/comm')
        wait_for(lambda: comm.read_text().strip() == 'sleep', 'sleep runs')

    def run(self, *command: str) -> str:
        """Run a command in the container's network namespace."""
        return run('nsenter', '--net', '--target', str(self.pid), *command)

    def kill(self) -> None:
        """End it, and its namespace with it."""
        self._process.kill()
        self._process.wait()


class Switch:
    """An Open vSwitch with a userspace datapath, in a directory."""

    def __init__(self, directory: str) -> None:
        self.connection = f'unix:{directory}/db.sock'
        self._environment = {**os.environ, 'OVS_RUNDIR': directory,
                             'OVS_DBDIR': directory}
        run('ovsdb-tool', 'create', f'{directory}/conf.db', _SCHEMA)
        self._processes = [self._start(
            'ovsdb-server', f'--remote=p{self.connection}',
            f'{directory}/conf.db', directory=directory)]
        wait_for(pathlib.Path(directory, 'db.sock').exists, 'OVSDB listens')
        self.vsctl('--no-wait', 'init')
        self._processes.append(self._start(
            'ovs-vswitchd', self.connection, directory=directory))
        self.vsctl('add-br', BRIDGE, '--', 'set', 'Bridge', BRIDGE,
                   'datapath_type=netdev')

    def _start(
        self, program: str, *arguments: str, directory: str,
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', program, *arguments,
             f'--unixctl={directory}/{program}.ctl',
             f'--log-file={directory}/{program}.log', '-vconsole:off'],
            env=self._environment)

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl on this switch and return its output."""
        return run('ovs-vsctl', '--timeout=10', f'--db={self.connection}',
                   *arguments).strip()

    def ports(self, bridge: str = BRIDGE) -> list[str]:
        """Return the names of a bridge's ports."""
        return self.vsctl('list-ports', bridge).split()

    def stop(self) -> None:
        """End its processes."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(_TIMEOUT)


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
        os_vif.initialize()
        CONF.set_override('ovsdb_connection', cls.switch.connection,
                          'os_vif_ovs')
        # The plugin reads the option once, when it is made.
        os_vif.initialize(reset=True)

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
        helper = pathlib.Path(sys.executable).with_name('privsep-helper')
        path = ':'.join(sys.path)
        for context, section in (
                (privsep.network_pctxt, 'docker_network_privileged'),
                (os_vif_privsep.vif_plug, 'vif_plug_ovs_privileged')):
            CONF.set_override('helper_command',
                              f'env PYTHONPATH={path} {helper}', section)
            context.stop()
            cls.addClassCleanup(context.stop)

    def setUp(self) -> None:
        super().setUp()
        self.instance = objects.Instance(
            id=1, uuid=uuidutils.generate_uuid(), project_id='project')

    def container(self) -> Container:
        """Start a container that ends with the test."""
        container = Container()
        self.addCleanup(container.kill)
        return container


def make_vif(number: int, **changes: Any) -> model.VIF:
    """Return a port as Nova gets it from Neutron.

    :param number: of the port; tells its addresses, from 1 to 255
    :param changes: attributes of the VIF to set differently
    """
    subnet = model.Subnet(
        cidr='10.9.0.0/24',
        dns=[model.IP('10.9.0.2', 'dns')],
        gateway=model.IP('10.9.0.254', 'gateway'),
        ips=[model.FixedIP(address=f'10.9.0.{number}')],
        routes=[model.Route('192.0.2.0/24',
                            model.IP('10.9.0.253', 'gateway'))])
    network = model.Network(
        id=uuidutils.generate_uuid(), bridge=BRIDGE, label='private',
        subnets=[subnet], mtu=1442)
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

