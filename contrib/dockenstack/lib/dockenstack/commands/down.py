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

"""`down`: stop the cloud, and with --purge remove every file of it."""

import shutil

from dockenstack.commands import base
from dockenstack.host import criu
from dockenstack.host import database
from dockenstack.host import engine
from dockenstack.host import loops
from dockenstack.host import lxcfs
from dockenstack.host import mounts
from dockenstack.host import namespaces
from dockenstack.host import openvswitch
from dockenstack.host import packages
from dockenstack.host import users
from dockenstack.openstack import second
from dockenstack import plan
from dockenstack import processes
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.stamp import Stamp

DESCRIPTION = """\
Stop the cloud: no process, interface, namespace, mount or bridge of it stays.
Its data stay below its home, its servers too, stopped: `up` brings them back.
Debian packages that were installed stay installed."""

# What must outlive the rest, to be asked about it.
LAST = ('mariadb', 'ovsdb-server', 'ovs-vswitchd', 'docker', 'lxcfs')


def main(arguments: list[str]) -> int:
    parser = base.parser('down', DESCRIPTION)
    parser.add_argument(
        '--purge', action='store_true',
        help='also remove the servers, every file, the users and sudo rules')
    options = parser.parse_args(arguments)
    base.require_root()
    home = Home.from_environment()
    with base.alone(home):
        if home.root.exists():
            down(home, options.purge)
        if options.purge:
            purge(home)
    print('The cloud is down' + (', and nothing of it is left'
                                 if options.purge else ''))
    return 0


def down(home: Home, purge: bool) -> None:
    """Stop everything. May be called again, at any state of the cloud."""
    supervisor = Supervisor(home)
    if second.present(home).exists():
        second.stop(home, supervisor)
    services = plan.services(home)
    openstack = [service for service in services
                 if service.name not in LAST]
    supervisor.stop_all(openstack)
    _stop_containers(home, supervisor, purge)
    interfaces = openvswitch.interfaces(home)
    openvswitch.delete_bridges(home, supervisor)
    supervisor.stop_all([service for service in services
                         if service.name in LAST])
    processes.end(processes.marked(home), 5)
    openvswitch.remove_taps(home)
    for name in interfaces:
        namespaces.remove_link(name)
    namespaces.remove_directory()
    lxcfs.unmount(home)
    mounts.remove_below(home.root)
    loops.detach_below(home.root)
    if Stamp(home, 'cgroups').exists():
        mounts.remove_cgroups()
        Stamp(home, 'cgroups').clear()
    packages.restore_policy()


def purge(home: Home) -> None:
    users.remove()
    criu.remove_options()
    engine.remove_runtime()
    shutil.rmtree(home.root, ignore_errors=True)
    base.lock_path(home).unlink(missing_ok=True)


def _stop_containers(home: Home, supervisor: Supervisor,
                     purge: bool) -> None:
    """Stop this cloud's containers, or remove them.

    On an engine of ours, those of a plain `down` end with the engine, and
    their files wait below the home.
    """
    if engine.is_ours(home):
        if supervisor.pid(engine.service(home)):
            supervisor.stop(engine.service(home))
        engine.clear(home, supervisor)
    elif engine.answers():
        uuids = database.instances(home, supervisor)
        for container in engine.instance_containers(uuids):
            engine.remove(container) if purge else engine.stop(container)
