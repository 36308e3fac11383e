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

"""Ephemeral disks of a flavor: file systems in files of this host."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import pathlib
import re
import shutil
from typing import Any
from typing import Final
import uuid

from oslo_concurrency import processutils
from oslo_utils import units

from nova import exception
from nova import objects
from nova.virt import driver
from nova_docker import errors
from nova_docker.privsep import blocks
from nova_docker.privsep import filesystems
from nova_docker.volumes import content
from nova_docker.volumes import propagate
from nova_docker.volumes import sparse

#: Where disks that come from another host are until all of them are there.
_ARRIVING: Final = 'arriving'
_NAME = re.compile('ephemeral[0-9]+')


def is_name(name: str) -> bool:
    """Whether it is the name of such a disk, of whatever flavor."""
    return _NAME.fullmatch(name) is not None


class Ephemeral:
    """Has ephemeral disks at ``/volumes/ephemeral0`` and on.

    Each is a sparse file, so that its size is a limit.

    :param points: where they are mounted
    :param root: the directory of the files
    """

    def __init__(self, points: propagate.Propagation, root: str) -> None:
        self._points = points
        self._root = pathlib.Path(root)

    def ensure(self, instance: objects.Instance,
               devices: Mapping[str, Any] | None = None) -> None:
        """See that an instance has its disks; those it has stay.

        :param devices: Nova's account of them; by default what is here
        :raises InternalError: one could not be made
        """
        wanted = driver.block_device_info_get_ephemerals(devices)
        for number, each in enumerate(wanted):
            file = self._directory(instance) / f'ephemeral{number}'
            if not file.exists():
                self._make(file, each['size'] * units.Gi)
        for file in self._files(instance):
            self._mount(instance, file)

    def names(self, instance: objects.Instance) -> list[str]:
        """Return the names of an instance's disks on this host."""
        return [file.name for file in self._files(instance)]

    def size(self, instance: objects.Instance) -> int:
        """Return the bytes that an instance's disks may hold together."""
        return sum(file.stat().st_size for file in self._files(instance))

    def packed(self, instance: objects.Instance
               ) -> Generator[bytes, None, None]:
        """Yield an archive of all disks, whose server does not run.

        They are not mounted any more then; :meth:`ensure` brings them back.

        :raises InternalError: one could not be read
        """
        try:
            for file in self._files(instance):
                self._points.unmount(instance.uuid, propagate.Kind.VOLUMES,
                                     file.name)
                with file.open('rb') as source:
                    os.fsync(source)
            yield from sparse.packed(self._directory(instance),
                                     self.names(instance))
        except (OSError, sparse.Failed) as error:
            raise exception.InternalError(
                f'The ephemeral disks can not be read: {error}') from error

    def unpack(self, instance: objects.Instance, names: Sequence[str],
               pieces: Iterable[bytes]) -> None:
        """Have the disks that another host has packed; all of them or none.

        :param names: what they are called there
        :param pieces: the archive, which may raise at its end
        :raises InternalError: one could not be written
        """
        draft = self._directory(instance) / _ARRIVING
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700, parents=True)
        try:
            sparse.unpack(draft, names, pieces)
            for name in names:
                (draft / name).rename(self._directory(instance) / name)
            draft.rmdir()
        except Exception as error:
            self.discard(instance)
            if isinstance(error, sparse.Failed):
                raise exception.InternalError(
                    'The ephemeral disks can not be written: '
                    f'{error}') from error
            raise

    def discard(self, instance: objects.Instance) -> None:
        """Remove an instance's disks; its workload is gone.

        Can be run again.
        """
        for file in self._files(instance):
            self._points.unmount(instance.uuid, propagate.Kind.VOLUMES,
                                 file.name, lazy=True)
            blocks.detach_file(os.path.realpath(file))
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._directory(instance))

    def _directory(self, instance: objects.Instance) -> pathlib.Path:
        return self._root / str(instance.uuid)

    def _files(self, instance: objects.Instance) -> list[pathlib.Path]:
        return sorted(self._directory(instance).glob('ephemeral*'))

    def _make(self, file: pathlib.Path, size: int) -> None:
        """Make a file with a file system; it has its name when it has both."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f'new-{file.name}')
        draft.unlink(missing_ok=True)
        with draft.open('wb') as target:
            target.truncate(size)
        try:
            with _device(draft) as device:
                filesystems.make(device, 'ext4', str(uuid.uuid4()))
        except processutils.ProcessExecutionError as error:
            raise exception.InternalError(
                f'The ephemeral disk {file.name} can not be made: '
                f'{errors.output(error)}') from error
        draft.rename(file)

    def _mount(self, instance: objects.Instance, file: pathlib.Path) -> None:
        if self._points.is_mounted(instance.uuid, propagate.Kind.VOLUMES,
                                   file.name):
            return
        use = content.Use(file.name, read_only=False, shared=False)
        with _device(file) as device:
            self._points.mount(
                instance.uuid, propagate.Kind.VOLUMES, file.name, 'ext4',
                device, content.mount_options('ext4', use), restricted=False)


@contextlib.contextmanager
def _device(file: pathlib.Path) -> Iterator[str]:
    """Have a loop device; what is mounted from it inside keeps it."""
    plain = os.path.realpath(file)
    try:
        yield blocks.attach_file(plain)
    finally:
        blocks.detach_file(plain)
