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

import pathlib
import shutil

from dockenstack import ready
from dockenstack import shell
from dockenstack.host import namespaces
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import BRIDGES
from dockenstack.settings import EXTERNAL_CIDR
from dockenstack.settings import EXTERNAL_GATEWAY
from dockenstack.settings import GROUP
from dockenstack.settings import Home

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
    _prepare(home)
    if not supervisor.pid(switch(home)):
        supervisor.stop(switch(home))
        _require_free_names()
        # Taps in the routers' namespaces outlive the switch that made them
        # and belong to no one: begin as a boot would.
        namespaces.remove_neutron()
    supervisor.ensure(database(home))
    vsctl(home, '--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.',
          f'external_ids:system-id={home.password("ovs")}',
          'external_ids:hostname=dockenstack')
    supervisor.ensure(switch(home))
    kind = datapath_type()
    vsctl(home, '--may-exist', 'add-br', 'br-ex', '--', 'set', 'bridge',
          'br-ex', f'datapath_type={kind}')
    prefix = EXTERNAL_CIDR.partition('/')[2]
    shell.run('ip', 'address', 'replace', f'{EXTERNAL_GATEWAY}/{prefix}',
              'dev', 'br-ex')
    shell.run('ip', 'link', 'set', 'br-ex', 'up')
    return f'{kind} datapath'


def delete_bridges(home: Home, supervisor: Supervisor) -> None:
    """Undo `start` but for the processes. May be called again."""
    if supervisor.pid(switch(home)) and supervisor.pid(database(home)):
        for bridge in BRIDGES:
            vsctl(home, '--if-exists', 'del-br', bridge)


def _prepare(home: Home) -> None:
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
