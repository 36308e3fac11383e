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

"""The two compute hosts of the cloud, and what each has of a server."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess
from typing import Any

import docker
from openstack import exceptions

from nova_docker import names
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services


@dataclasses.dataclass(frozen=True)
class Place:
    """A compute host.

    :param name: Nova's and Neutron's name of it
    :param socket: the engine's
    :param own: where its files are below ``run`` and ``data``
    :param holder: the service in whose mounts and network it is
    """

    name: str
    socket: pathlib.Path
    own: str
    holder: str

    @functools.cached_property
    def engine(self) -> docker.DockerClient:
        return docker.DockerClient(f'unix://{self.socket}')

    def inspect(self, server: servers.Server) -> dict[str, Any]:
        """Return the inspected container that runs a server's image."""
        return dict(self.engine.api.inspect_container(
            names.workload(server.id)))

    def left(self, uuid: str) -> list[str]:
        """Return in words what the host has of a server."""
        return [*self._in_engine(uuid), *self._on_host(uuid)]

    def _in_engine(self, uuid: str) -> Iterator[str]:
        chosen = {'label': f'{names.UUID}={uuid}'}
        for box in self.engine.containers.list(
                all=True, ignore_removed=True, filters=chosen):
            yield f'container {box.name} ({box.status})'
        for volume in self.engine.volumes.list(filters=chosen):
            yield f'volume {volume.name}'

    def _on_host(self, uuid: str) -> Iterator[str]:
        found = subprocess.run(
            ['ovs-vsctl', f'--db=unix:{self._run}/ovs/db.sock', '--bare',
             '--columns=name', 'find', 'Interface',
             f'external_ids:vm-uuid={uuid}'],
            check=True, capture_output=True, text=True,
            timeout=clouds.PATIENCE)
        for name in found.stdout.split():
            yield f'Open vSwitch port {name}'
        for name in ('mounts', 'connections', 'ephemeral'):
            path = self._data / 'nova-compute' / name / uuid
            if path.exists():
                yield f'directory {path}'
        pid = services.main_process(self.holder)
        table = pathlib.Path(f'/proc/{pid}/mounts').read_text()
        for point in (line.split()[1] for line in table.splitlines()):
            if uuid in point and point.startswith(str(self._data)):
                yield f'mount {point}'

    @property
    def _run(self) -> pathlib.Path:
        return clouds.home() / 'run' / self.own

    @property
    def _data(self) -> pathlib.Path:
        return clouds.home() / 'data' / self.own


FIRST = Place('dockenstack', pathlib.Path('/var/run/docker.sock'), '',
              'nova-compute')
SECOND = Place('dockenstack-2',
               clouds.home() / 'run' / 'second' / 'docker.sock', 'second',
               'second-host')


def of(server: servers.Server) -> Place:
    """Return the host that Nova has a server on."""
    shown = clouds.connection('admin').compute.get_server(server.id)
    [found] = [each for each in (FIRST, SECOND)
               if each.name == shown.compute_host]
    return found


def other(than: Place) -> Place:
    return SECOND if than == FIRST else FIRST


def wait_until_clear(place: Place, uuid: str) -> None:
    """Wait until a host has nothing of a server any more."""
    left: list[str] = []

    def is_clear() -> bool:
        left[:] = place.left(uuid)
        return not left
    try:
        clouds.wait_until(is_clear, '')
    except AssertionError:
        raise AssertionError(
            f'left of {uuid} on {place.name}: {", ".join(left)}') from None


def act(server: servers.Server, name: str, microversion: str,
        **options: Any) -> None:
    """Have an operator do something with a server."""
    answer = clouds.connection('admin').compute.post(
        f'/servers/{server.id}/action', microversion=microversion,
        json={name: options or None})
    exceptions.raise_from_response(answer)


def migrate(server: servers.Server) -> Place:
    """Have an operator migrate a server; return the host where it is then.

    It is not confirmed yet.
    """
    there = other(of(server))
    act(server, 'migrate', '2.56', host=there.name)
    server.wait_for('VERIFY_RESIZE')
    return there


def _service(place: Place) -> str:
    found = clouds.connection('admin').compute.get(
        f'/os-services?binary=nova-compute&host={place.name}',
        microversion='2.53').json()['services']
    return str(found[0]['id'])


def set_service(place: Place, **state: Any) -> None:
    """Say as an operator what is with a host's nova-compute."""
    answer = clouds.connection('admin').compute.put(
        f'/os-services/{_service(place)}', microversion='2.53', json=state)
    exceptions.raise_from_response(answer)


def cut_power() -> None:
    """End every process of the second host, those in containers too."""
    kept = (clouds.home() / 'etc' / 'docker-2.json').read_text()
    group = json.loads(kept)['cgroup-parent']
    network = _namespace(services.main_process(SECOND.holder))
    if network == os.readlink('/proc/self/ns/net'):
        # The number is another process's by now.
        raise RuntimeError(f'{SECOND.name} does not run')

    def alive() -> list[int]:
        found = []
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            # Any of them may end meanwhile.
            with contextlib.suppress(OSError):
                if (_namespace(int(path.name)) == network
                        or f':{group}/' in (path / 'cgroup').read_text()):
                    found.append(int(path.name))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found
    clouds.wait_until(lambda: not alive(), f'{SECOND.name} is dead')


def _namespace(pid: int) -> str:
    return os.readlink(f'/proc/{pid}/ns/net')


@contextlib.contextmanager
def only(place: Place) -> Iterator[None]:
    """Have the scheduler choose this host meanwhile."""
    shunned = other(place)
    set_service(shunned, status='disabled')
    try:
        yield
    finally:
        set_service(shunned, status='enabled')
