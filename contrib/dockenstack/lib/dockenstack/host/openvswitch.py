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

"""A private Open vSwitch: database, switch, and the external bridge."""

import json
import pathlib
import shutil

from dockenstack.host import namespaces
from dockenstack import ready
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import BRIDGES
from dockenstack.settings import EXTERNAL_CIDR
from dockenstack.settings import EXTERNAL_GATEWAY
from dockenstack.settings import GROUP
from dockenstack.settings import Home
from dockenstack.settings import HOST
from dockenstack import shell

PACKAGES = ('openvswitch-switch', 'iproute2', 'kmod')
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'


def run_directory(home: Home) -> pathlib.Path:
    return home.run / 'ovs'


def connection(home: Home) -> str:
    return f'unix:{run_directory(home)}/db.sock'


def environment(home: Home) -> dict[str, str]:
    """What points the ovs-* tools at this switch."""
    return {'OVS_RUNDIR': str(run_directory(home)),
            'OVS_LOGDIR': str(home.log),
            'OVS_DBDIR': str(home.data / 'ovs'),
            'OVS_SYSCONFDIR': str(home.data / 'ovs')}


def datapath_type() -> str:
    """`system` where the kernel has the module, else `netdev`."""
    module = pathlib.Path('/sys/module/openvswitch')
    if not module.exists():
        shell.run('modprobe', 'openvswitch', check=False)
    return 'system' if module.exists() else 'netdev'


def database(home: Home) -> Service:
    run = run_directory(home)
    # The group may open the socket: os-vif in nova-compute is not root.
    return Service(
        name='ovsdb-server', group=GROUP, umask=0o007,
        env=environment(home),
        command=('/usr/sbin/ovsdb-server', str(home.data / 'ovs/conf.db'),
                 f'--remote=punix:{run}/db.sock',
                 f'--unixctl={run}/ovsdb.ctl',
                 f'--pidfile={run}/ovsdb-server.pid', '-vconsole:warn',
                 '-vsyslog:off'),
        address=str(run / 'db.sock'), ready=ready.unix(run / 'db.sock'))


def switch(home: Home) -> Service:
    run = run_directory(home)
    return Service(
        name='ovs-vswitchd', env=environment(home),
        command=('/usr/sbin/ovs-vswitchd', connection(home),
                 f'--pidfile={run}/ovs-vswitchd.pid', '-vconsole:warn',
                 f'--unixctl={run}/vswitchd.ctl', '-vsyslog:off'),
        address=str(run / 'vswitchd.ctl'),
        ready=ready.unix(run / 'vswitchd.ctl'))


def vsctl(home: Home, *arguments: str) -> None:
    shell.run('ovs-vsctl', '--timeout=30', f'--db={connection(home)}',
              *arguments)


def start(home: Home, supervisor: Supervisor) -> str:
    """Have the switch running, with br-ex and the host's address on it."""
    prepare(home)
    fresh = not supervisor.is_current(switch(home))
    if fresh:
        supervisor.stop(switch(home))
        remove_taps(home)
        _require_free_names()
    supervisor.ensure(database(home))
    if fresh:
        _forget_taps(home)
    initialize(home, HOST)
    supervisor.ensure(switch(home))
    kind = datapath_type()
    have_external_bridge(home, kind, EXTERNAL_GATEWAY)
    return f'{kind} datapath'


def initialize(home: Home, host: str) -> None:
    """Tell a database whose switch it describes."""
    vsctl(home, '--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.',
          f'external_ids:system-id={home.password(f"ovs-{host}")}',
          f'external_ids:hostname={host}')


def have_external_bridge(home: Home, kind: str, address: str,
                         within: tuple[str, ...] = ()) -> None:
    """Have br-ex, with a host's own address on it.

    :param within: what enters the network of the switch, if not this one
    """
    # It would take size and address of a cable to another host, whose tunnels
    # remember the latter for a quarter of an hour.
    vsctl(home, '--may-exist', 'add-br', 'br-ex', '--', 'set', 'bridge',
          'br-ex', f'datapath_type={kind}',
          f'other_config:hwaddr="{_hardware_address(address)}"', '--', 'set',
          'interface', 'br-ex', 'mtu_request=1500')
    prefix = EXTERNAL_CIDR.partition('/')[2]
    shell.run(*within, 'ip', 'address', 'replace', f'{address}/{prefix}',
              'dev', 'br-ex')
    shell.run(*within, 'ip', 'link', 'set', 'br-ex', 'up')


def _hardware_address(address: str) -> str:
    return ':'.join(f'{int(part):02x}'
                    for part in ('2', '0', *address.split('.')))


def interfaces(home: Home) -> dict[str, str]:
    """The interfaces of the switch and their types, also while it is down."""
    path = home.data / 'ovs' / 'conf.db'
    if not path.exists():
        return {}
    answer = json.loads(shell.read('ovsdb-tool', 'query', path, json.dumps(
        ['Open_vSwitch', {'op': 'select', 'table': 'Interface', 'where': [],
                          'columns': ['name', 'type']}])))
    return {row['name']: row['type'] for row in answer[0]['rows']}


def remove_taps(home: Home) -> None:
    """Take away what outlives the switch; to be called once it is stopped.

    The taps of the userspace datapath stay when it is killed, and the kernel
    keeps its datapath. Those in the routers' namespaces belong to no one from
    then on: begin as a boot would. May be called again.
    """
    namespaces.remove_neutron()
    internal = [name for name, kind in interfaces(home).items()
                if kind == 'internal']
    if internal:
        internal.append('ovs-netdev')
        if datapath_type() == 'system':
            shell.run('ovs-dpctl', 'del-dp', 'ovs-system', check=False)
            internal.append('vxlan_sys_4789')
    for name in internal:
        namespaces.remove_link(name)


def _forget_taps(home: Home) -> None:
    """The agents make the ports of their namespaces anew."""
    for name, kind in interfaces(home).items():
        if kind == 'internal' and name not in BRIDGES:
            vsctl(home, '--no-wait', '--if-exists', 'del-port', name)


def delete_bridges(home: Home, supervisor: Supervisor) -> None:
    """Undo `start` but for the processes. May be called again."""
    if supervisor.pid(switch(home)) and supervisor.pid(database(home)):
        for bridge in BRIDGES:
            vsctl(home, '--if-exists', 'del-br', bridge)


def prepare(home: Home) -> None:
    """Have the directories, and a database that no one has locked."""
    run_directory(home).mkdir(exist_ok=True)
    data = home.data / 'ovs'
    data.mkdir(exist_ok=True)
    if not (data / 'conf.db').exists():
        draft = data / 'draft.db'
        draft.unlink(missing_ok=True)
        shell.run('ovsdb-tool', 'create', draft, SCHEMA)
        shutil.move(draft, data / 'conf.db')
    (data / '.conf.db.~lock~').unlink(missing_ok=True)


def _require_free_names() -> None:
    for bridge in BRIDGES:
        if pathlib.Path('/sys/class/net', bridge).exists():
            raise shell.Failure(
                f'an interface {bridge} exists that is not of this cloud: '
                'it must go first')
    routes = shell.read('ip', 'route', 'show', EXTERNAL_CIDR).strip()
    if routes:
        raise shell.Failure(
            f'{EXTERNAL_CIDR}, the external network, is taken: {routes}')
