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

"""A second host on this machine: namespaces, a switch and an engine.

It shares the kernel, the processes and the files with the first. Mounts and
network are its own, since two hosts have the same server for as long as it
migrates, and its interfaces have one name. A cable, which is a veth pair,
runs between the external bridges of the two.
"""

import dataclasses
import json
import pathlib
import pwd
import shutil

from dockenstack.host import engine
from dockenstack.host import mounts
from dockenstack.host import namespaces
from dockenstack.host import openvswitch
from dockenstack.host import packages
from dockenstack.host import users
from dockenstack import processes
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack import shell

#: What a user calls it; the host's own name is another.
NAME = 'second-host'
HOST = f'{settings.HOST}-2'
ADDRESS = '172.24.4.2'
#: The ends of the cable, here and there.
CABLE = HOST
UPLINK = 'uplink'
#: What has to pass from one host's tunnels to the other's.
CABLE_MTU = 1550
SCRIPT = pathlib.Path(__file__).parents[1] / 'cloud' / 'second_host.py'
#: Where a switch listens is its own host's.
LOCAL_PORTS = ('openflow',)


class Place(Home):
    """What the second host has for itself, where the first has the same."""

    @classmethod
    def of(cls, home: Home) -> 'Place':
        return cls(home.root, home.source)

    @property
    def data(self) -> pathlib.Path:
        return super().data / 'second'

    @property
    def run(self) -> pathlib.Path:
        return super().run / 'second'

    @property
    def cgroup(self) -> str:
        return f'{self.tag}-2'

    @property
    def docker(self) -> pathlib.Path:
        """The engine's socket."""
        return self.run / 'docker.sock'


def machine(home: Home) -> Service:
    """What holds the namespaces, and the way to the controllers."""
    run = Place.of(home).run
    ports = [str(port) for name, port in settings.PORTS.items()
             if name not in LOCAL_PORTS]
    return Service(
        name=NAME, command=(
            str(home.bin / 'python'), str(SCRIPT), str(home.root), str(run),
            *ports),
        address=ADDRESS, configuration=(SCRIPT,),
        ready=(run / 'net').exists)


def inside(home: Home, service: Service, suffix: str = '-2') -> Service:
    """The same service on the second host, which root has to enter."""
    become: tuple[str, ...] = ()
    if service.user != 'root':
        become = ('setpriv', '--reuid', service.user,
                  '--regid', service.group or settings.GROUP,
                  '--init-groups', '--')
    return dataclasses.replace(
        service, name=service.name + suffix, user='root',
        env={'HOME': pwd.getpwnam(service.user).pw_dir, **service.env},
        command=(*_enter(home), *become, *service.command),
        configuration=(*service.configuration,
                       Place.of(home).run / 'born'))


def _enter(home: Home) -> tuple[str, ...]:
    run = Place.of(home).run
    return 'nsenter', f'--net={run}/net', f'--mount={run}/mnt', '--'


def services(home: Home) -> list[Service]:
    """All of them, in the order in which they start."""
    place = Place.of(home)
    return [machine(home), inside(home, openvswitch.database(place)),
            inside(home, openvswitch.switch(place)),
            inside(home, _engine(home))]


def _engine(home: Home) -> Service:
    place = Place.of(home)
    configuration = home.etc / 'docker-2.json'
    return dataclasses.replace(
        engine.service(home), address=str(place.docker),
        command=('/usr/sbin/dockerd', f'--config-file={configuration}'),
        configuration=(configuration,),
        ready=lambda: engine.ask(
            'GET', '/_ping', str(place.docker)) is not None)


def is_current(home: Home, supervisor: Supervisor) -> bool:
    """Whether all of it runs as it is configured now."""
    _configure(home)
    return all(map(supervisor.is_current, services(home)))


def start(home: Home, supervisor: Supervisor) -> None:
    """Start the host as after a boot."""
    stop(home, supervisor)
    place = Place.of(home)
    for path in (place.data, place.run):
        path.mkdir(exist_ok=True)
    supervisor.start(machine(home))
    _plug_cable(home, supervisor)
    openvswitch.prepare(place)
    _, database, switch, docker = services(home)
    supervisor.start(database)
    openvswitch.initialize(place, HOST)
    supervisor.start(switch)
    _have_external_bridge(home)
    supervisor.start(docker)


def stop(home: Home, supervisor: Supervisor) -> None:
    """End all of it; the engine's containers stay, stopped.

    May be called again.
    """
    place = Place.of(home)
    _unplug_cable(home, supervisor)
    for service in reversed(services(home)):
        supervisor.stop(service)
        # A killed engine leaves the containers running.
        processes.end(processes.in_cgroup(place.cgroup), 0)
    mounts.remove_cgroup(place.cgroup)
    # With the namespaces all that was in them is gone.
    shutil.rmtree(place.run, ignore_errors=True)
    shutil.rmtree(place.data / 'ovs', ignore_errors=True)


def remove(home: Home, supervisor: Supervisor) -> None:
    """Undo `start`, with all that is on the host. May be called again."""
    stop(home, supervisor)
    shutil.rmtree(Place.of(home).data, ignore_errors=True)


def _configure(home: Home) -> None:
    place = Place.of(home)
    packages.install(engine.PACKAGES)
    users.join(settings.COMPUTE_USER, 'docker')
    shell.write(home.etc / 'docker-2.json', json.dumps({
        **engine.options(home),
        'hosts': [f'unix://{place.docker}'],
        'data-root': str(place.data / 'docker'),
        'exec-root': str(place.run / 'docker'),
        'pidfile': str(place.run / 'docker.pid'),
        'cgroup-parent': f'/{place.cgroup}'}, indent=4) + '\n')


def _plug_cable(home: Home, supervisor: Supervisor) -> None:
    shell.run('ip', 'link', 'add', CABLE, 'mtu', str(CABLE_MTU), 'type',
              'veth', 'peer', 'name', UPLINK, 'mtu', str(CABLE_MTU), 'netns',
              str(supervisor.pid(machine(home))))
    shell.run('ip', 'link', 'set', CABLE, 'up')
    shell.run(*_enter(home), 'ip', 'link', 'set', UPLINK, 'up')
    openvswitch.vsctl(home, 'add-port', 'br-ex', CABLE)


def _unplug_cable(home: Home, supervisor: Supervisor) -> None:
    """Undo the above. May be called again."""
    # A switch goes on with a link that is gone, where another has its name.
    if supervisor.pid(openvswitch.switch(home)):
        openvswitch.vsctl(home, '--if-exists', 'del-port', 'br-ex', CABLE)
    namespaces.remove_link(CABLE)


def _have_external_bridge(home: Home) -> None:
    openvswitch.have_external_bridge(
        Place.of(home), openvswitch.datapath_type(), ADDRESS, _enter(home))
    openvswitch.vsctl(Place.of(home), '--may-exist', 'add-port', 'br-ex',
                      UPLINK)
