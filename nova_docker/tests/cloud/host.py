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

"""What a server is on this machine, and what is left of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
import functools
import json
import pathlib
import subprocess
from typing import Any

import docker
import docker.errors
from oslo_utils import timeutils

from nova_docker import names
from nova_docker.tests.cloud import clouds


@functools.cache
def engine() -> docker.DockerClient:
    """Return the engine that the compute host runs its instances on."""
    return docker.from_env()


def containers(uuid: str) -> list[Any]:
    """Return all that the engine has of a server, running or not."""
    return list(engine().containers.list(
        all=True, ignore_removed=True,
        filters={'label': f'{names.UUID}={uuid}'}))


def volumes(uuid: str) -> list[str]:
    """Return the names of the engine's volumes that are a server's."""
    return [volume.name for volume in engine().volumes.list(
        filters={'label': f'{names.UUID}={uuid}'})]


def workload(uuid: str) -> dict[str, Any]:
    """Return the inspected container that runs a server's image."""
    return dict(engine().api.inspect_container(names.workload(uuid)))


def copies(uuid: str) -> list[pathlib.Path]:
    """Return what containerd has left of the memory of a server.

    The engines of the tests have it in the default directory.
    """
    container = workload(uuid)['Id'].encode()
    paths = pathlib.Path('/tmp').glob('ctrd-checkpoint*/cgroup.img')
    return [path.parent for path in paths if container in path.read_bytes()]


def tags() -> dict[str, str]:
    """Return every name of the engine's images, with the image's id."""
    return {tag: image['Id'] for image in engine().api.images()
            for tag in image['RepoTags'] or [] if tag != '<none>:<none>'}


def image(name: str) -> dict[str, Any]:
    """Return an inspected image of the engine."""
    return dict(engine().api.inspect_image(name))


def age_image(name: str, seconds: int) -> None:
    """Have the engine think that an image was last tagged a while ago.

    Where it keeps images by its own storage drivers, it reads the time from a
    file each time that it is asked; no call of its API sets it.
    """
    info = engine().info()
    record = pathlib.Path(
        info['DockerRootDir'], 'image', info['Driver'],
        'imagedb/metadata/sha256', image(name)['Id'].partition(':')[2],
        'lastUpdated')
    moved = (timeutils.parse_isotime(record.read_text())
             - datetime.timedelta(seconds=seconds))
    record.write_text(moved.isoformat())


def remove_image(image_id: str) -> None:
    """Remove what the engine keeps of a Glance image, verified or not."""
    for tag in tags():
        if tag.startswith(names.image_reference(image_id)):
            remove_reference(tag)


def remove_reference(name: str) -> None:
    """Remove a name from the engine, and with its last one the image."""
    try:
        engine().images.remove(name)
    except docker.errors.ImageNotFound:
        return


def _read(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True,
                          text=True, timeout=clouds.PATIENCE).stdout


def switch_ports(uuid: str) -> list[str]:
    """Return the Open vSwitch ports that are a server's."""
    return _read(
        'ovs-vsctl', f'--db=unix:{clouds.home()}/run/ovs/db.sock', '--bare',
        '--columns=name', 'find', 'Interface',
        f'external_ids:vm-uuid={uuid}').split()


def links() -> set[str]:
    """Return the names of this machine's network devices."""
    return {link['ifname'] for link in json.loads(_read('ip', '-j', 'link'))}


@dataclasses.dataclass(frozen=True)
class Traces:
    """What there is of a server, to look for when it is deleted."""

    uuid: str
    ports: frozenset[str]
    #: Paths of its network namespaces, in which the engine holds them.
    namespaces: frozenset[str]
    containers: frozenset[str]

    @classmethod
    def of(cls, uuid: str) -> Traces:
        found = containers(uuid)
        ports = clouds.connection('demo').network.ports(device_id=uuid)
        return cls(
            uuid, frozenset(port.id for port in ports),
            frozenset(box.attrs['NetworkSettings']['SandboxKey']
                      for box in found) - {''},
            frozenset(box.id for box in found))

    def left(self) -> list[str]:
        """Return in words what is still there."""
        return [*self._in_engine(), *self._on_host(), *self._in_cloud()]

    def _in_engine(self) -> Iterator[str]:
        for container in containers(self.uuid):
            yield f'container {container.name} ({container.status})'
        for volume in volumes(self.uuid):
            yield f'volume {volume}'
        # A namespace that is still held is a mount too.
        for mount in _mounts(
                self.containers | self.namespaces | {self.uuid}):
            yield f'mount {mount}'

    def _on_host(self) -> Iterator[str]:
        for name in switch_ports(self.uuid):
            yield f'Open vSwitch port {name}'
        directory = (clouds.home() / 'data' / 'nova-compute' / 'mounts'
                     / self.uuid)
        if directory.exists():
            yield f'directory {directory}'
        present = links()
        for port in self.ports:
            for link in present:
                if link.endswith(port[:11]):
                    yield f'device {link}'

    def _in_cloud(self) -> Iterator[str]:
        network = clouds.connection('demo').network
        for port in network.ports(device_id=self.uuid):
            yield f'Neutron port {port.id}'
        if allocations(self.uuid):
            yield 'allocations in Placement'


def _mounts(parts: Iterable[str]) -> Iterator[str]:
    table = pathlib.Path('/proc/mounts').read_text()
    for line in table.splitlines():
        path = line.split()[1]
        if any(each in path for each in parts):
            yield path


def allocations(uuid: str) -> dict[str, Any]:
    """Return what Placement has given to a server."""
    answer = clouds.connection('admin').placement.get(f'/allocations/{uuid}')
    return dict(answer.json()['allocations'])
