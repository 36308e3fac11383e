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

"""The config drive: Nova's metadata as files in the server."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import posixpath
from typing import Any
import uuid

from nova.api.metadata import base as metadata
from nova.network import model
from oslo_log import log as logging

from nova import objects
from nova.virt import configdrive
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import files
from nova_docker.instances import keys
from nova_docker import names
from nova_docker.network import sandbox

LOG = logging.getLogger(__name__)

#: Where it is in the server: for people, and where cloud-init looks for it
#: first, since a container has no block device with a label.
MOUNT_POINTS = ('/config-drive', '/var/lib/cloud/seed/config_drive')
#: In the container through which it is filled.
_ROOT = 'config-drive'


@dataclasses.dataclass(frozen=True)
class Details:
    """What comes with a server and is kept nowhere else.

    :param network_info: its ports
    :param files: paths and contents that the user gives
    :param admin_password: None if there is none
    :param block_devices: Nova's account of its volumes
    """

    network_info: model.NetworkInfo
    files: Sequence[tuple[str, bytes]] = ()
    admin_password: str | None = None
    block_devices: Mapping[str, Any] | None = None


class ConfigDrive:
    """Makes config drives, as volumes of the engine.

    nova-compute may be no root, so the engine writes the files, through a
    container that never starts. Every workload gets a volume of its own,
    whose content is never changed: that of a rescued server's own workload
    is what it was when the rescue is over.

    :param engine: which keeps them
    :param boxes: has an engine image for containers that do nothing
    """

    def __init__(self, engine: client.Engine, boxes: sandbox.Sandbox) -> None:
        self._engine = engine
        self._boxes = boxes

    def create(self, instance: objects.Instance) -> list[str]:
        """Make an empty drive if the instance shall have one.

        Those of the instance that no container uses any more go.

        :returns: the binds for the workload, which can now be created
        """
        self.discard(instance.uuid)
        if not configdrive.required_by(instance):
            return []
        volume = f'{names.config_drive(instance.uuid)}-{uuid.uuid4().hex[:8]}'
        labels = names.labels(instance, names.Role.CONFIG)
        with _explained():
            self._engine.create_volume(volume, labels)
            self._engine.create(names.config_drive(instance.uuid), {
                'Image': self._boxes.prepare(),
                'Labels': labels,
                'HostConfig': {'NetworkMode': 'none',
                               'Binds': [f'{volume}:/{_ROOT}:nocopy']}})
        return [f'{volume}:{path}:ro,nocopy' for path in MOUNT_POINTS]

    def fill(self, instance: objects.Instance, details: Details,
             owner: Callable[[], keys.Account]) -> None:
        """Write an instance's drive, if :meth:`create` has made one.

        :param owner: returns the user that the workload starts as
        """
        if not configdrive.required_by(instance):
            return
        name = names.config_drive(instance.uuid)
        with _explained():
            self._engine.write_archive(
                name, '/', archive(_content(instance, details), owner()))
            self._engine.remove(name)

    def discard(self, instance_uuid: str) -> None:
        """Remove the drives of an instance that no container uses.

        Can be run again, and after a nova-compute that was killed.
        """
        self._engine.remove(names.config_drive(instance_uuid))
        for volume in self._engine.volumes(
                [f'{names.UUID}={instance_uuid}',
                 f'{names.ROLE}={names.Role.CONFIG}']):
            with contextlib.suppress(errors.EngineConflict):
                self._engine.remove_volume(volume['Name'])


def archive(content: Mapping[str, bytes], owner: keys.Account) -> bytes:
    """Return a tar of a drive that its owner alone can read.

    A virtual machine's drive is a disk, and only root can mount a disk: so
    no other user of the server may read the passwords in it here either.

    :param content: by path below the drive's root
    """
    paths = {posixpath.join(_ROOT, path): data
             for path, data in content.items()}
    return files.pack(
        [files.Member(path, 0o700, None, owner.uid, owner.gid)
         for path in sorted(_parents(paths))]
        + [files.Member(path, 0o600, data, owner.uid, owner.gid)
           for path, data in paths.items()])


def _parents(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        while path := posixpath.dirname(path):
            found.add(path)
    return found


def _content(instance: objects.Instance,
             details: Details) -> dict[str, bytes]:
    password = details.admin_password
    found = metadata.InstanceMetadata(
        instance, content=details.files, network_info=details.network_info,
        extra_md={'admin_pass': password} if password else {})
    return {path: data.encode() if isinstance(data, str) else data
            for path, data in found.metadata_for_config_drive()}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say of an engine's refusal that it was about the config drive."""
    try:
        yield
    except errors.EngineUnavailable:
        raise
    except errors.EngineError as error:
        raise type(error)('the config drive could not be written: '
                          f'{error.message}', error.status) from error
