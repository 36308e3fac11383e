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

"""Docker Engine: the machine's own, or one of ours on the same socket."""

import contextlib
import grp
import http.client
import json
import os
import pathlib
import shutil
import socket
from typing import Any

from dockenstack.host import criu
from dockenstack.host import mounts
from dockenstack.host import packages
from dockenstack import processes
from dockenstack.service import PATH
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

PACKAGES = ('docker.io', 'tini', 'iptables')
DEFAULT_SOCKET = '/var/run/docker.sock'
#: What an engine needs to make some; the other init is a link, which CRIU
#: can not bring back.
CHECKPOINTS = {'experimental': True, 'init-path': '/usr/bin/tini-static'}
INSTANCE_LABEL = 'org.openstack.nova.uuid'


def socket_path() -> str:
    """The socket that DOCKER_HOST names, or the default one."""
    host = os.environ.get('DOCKER_HOST', '')
    scheme, _, path = host.partition('://')
    return path if scheme == 'unix' else DEFAULT_SOCKET


def socket_group() -> str:
    """The group whose members may use the engine, as a rule `docker`."""
    owner = os.stat(socket_path()).st_gid
    if not owner:
        raise shell.Failure(
            f'{socket_path()} belongs to the group root: nova-compute, which '
            'is not root, could not open it')
    return grp.getgrgid(owner).gr_name


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str):
        super().__init__('localhost', timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(method: str, path: str, at: str = '') -> Any:
    """One request to the engine's API; None where it does not answer.

    :param at: the socket, if it is another than the first host's
    """
    connection = _Connection(at or socket_path())
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.status >= 400:
        return None
    return json.loads(body) if body.startswith((b'{', b'[')) else body


def answers() -> bool:
    return ask('GET', '/_ping') is not None


def service(home: Home) -> Service:
    configuration = home.etc / 'docker.json'
    path = {'PATH': f'{criu.directory(home)}:{PATH}'}
    return Service(
        name='docker', command=(
            '/usr/sbin/dockerd', f'--config-file={configuration}'),
        address=DEFAULT_SOCKET, configuration=(configuration,),
        env=path if criu.is_unpacked(home) else {},
        ready=answers, stop_seconds=60)


def is_ours(home: Home) -> bool:
    """Whether the cloud runs on an engine that it started itself."""
    return Stamp(home, 'engine').holds('ours')


def start(home: Home, supervisor: Supervisor) -> str:
    """Have an engine that answers; say which."""
    if not supervisor.pid(service(home)) and answers():
        Stamp(home, 'engine').set('foreign')
        return f"the machine's own, {_version()}"
    if socket_path() != DEFAULT_SOCKET:
        raise shell.Failure(
            f'DOCKER_HOST names {socket_path()}, where no engine answers')
    packages.install(PACKAGES)
    Stamp(home, 'engine').set('ours')
    if mounts.have_cgroups():
        Stamp(home, 'cgroups').set()
    _configure(home)
    if not supervisor.is_current(service(home)):
        clear(home, supervisor)
    supervisor.ensure(service(home))
    return f'our own, {_version()}'


def clear(home: Home, supervisor: Supervisor) -> None:
    """Take away what a dead engine left; its containers stay, stopped.

    May be called again.
    """
    supervisor.stop(service(home))
    processes.end(processes.in_cgroup(home.tag), 0)
    mounts.remove_cgroup(home.tag)
    mounts.remove_below(home.root / 'docker')
    mounts.remove_below(home.run / 'docker')
    shutil.rmtree(home.run / 'docker', ignore_errors=True)
    # A pid file whose number another process has by now would stop it.
    for path in (home.run / 'docker.pid', pathlib.Path(DEFAULT_SOCKET)):
        path.unlink(missing_ok=True)


def remove_runtime() -> None:
    """Remove the empty directories that an engine leaves in /run."""
    for path in ('/run/containerd/s', '/run/containerd',
                 '/run/docker/plugins', '/run/docker'):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def instance_containers(uuids: set[str]) -> list[str]:
    """The ids of this cloud's containers on the engine."""
    found = ask('GET', '/containers/json?all=1') or []
    return [each['Id'] for each in found
            if each['Labels'].get(INSTANCE_LABEL) in uuids]


def stop(container: str) -> None:
    """Stop a container; its files stay."""
    ask('POST', f'/containers/{container}/stop?t=10')


def remove(container: str) -> None:
    ask('DELETE', f'/containers/{container}?force=1&v=1')


def _configure(home: Home) -> None:
    shell.write(home.etc / 'docker.json',
                json.dumps(options(home), indent=4) + '\n')


def options(home: Home) -> dict[str, Any]:
    """The configuration of an engine of ours."""
    return {
        'hosts': [f'unix://{DEFAULT_SOCKET}'],
        'group': 'docker',
        'data-root': str(home.root / 'docker'),
        'exec-root': str(home.run / 'docker'),
        'pidfile': str(home.run / 'docker.pid'),
        # So that its containers can be found without it.
        'cgroup-parent': f'/{home.tag}',
        # The network is Neutron's: no bridge, no rule, no forwarding of
        # the engine's own.
        'bridge': 'none', 'iptables': False, 'ip6tables': False,
        'ip-forward': False, 'ip-masq': False, 'userland-proxy': False,
        'log-driver': 'json-file', 'shutdown-timeout': 15,
        **(CHECKPOINTS if criu.is_unpacked(home) else {}),
    }


def _version() -> str:
    return f'version {(ask("GET", "/version") or {}).get("Version")}'
