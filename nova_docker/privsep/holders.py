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

"""Who keeps a file system busy."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import mounttable

_PROC = pathlib.Path('/proc')


@privsep.mount_pctxt.entrypoint
def holders(point: str) -> list[tuple[int, str]]:
    """Return who uses what is mounted at an instance's mount point.

    :returns: process ids as the processes themselves see them, and names
    """
    checks.mount_point(point)
    mount = mounttable.find(point)
    if mount is None:
        return []
    return [_identity(process)
            for process, mounts in _tables(list(_processes())).items()
            if _uses(process, mounts, mount.number)]


def _processes() -> Iterator[pathlib.Path]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield entry


def _tables(processes: Sequence[pathlib.Path]
            ) -> dict[pathlib.Path, list[mounttable.Mount]]:
    """Return what is mounted for each process, also out of its sight.

    One that has changed its root sees nothing but what is mounted below
    that. Another of its mount namespace sees all.
    """
    namespaces: dict[pathlib.Path, str] = {}
    fullest: dict[str, list[mounttable.Mount]] = {}
    for process in processes:
        # It may end at any time. And nothing of one process may keep the
        # others from being seen.
        with contextlib.suppress(OSError, ValueError):
            namespace = os.readlink(process / 'ns' / 'mnt')
            fullest[namespace] = max(
                fullest.get(namespace, []),
                list(mounttable.mounts(process / 'mountinfo')), key=len)
            namespaces[process] = namespace
    return {process: fullest[namespace]
            for process, namespace in namespaces.items()}


def _uses(process: pathlib.Path, mounts: Sequence[mounttable.Mount],
          device: str) -> bool:
    """Tell whether a process has something open on a device.

    No file is looked at: of those that others have open, one may be on
    storage that does not answer.

    :param mounts: of its mount namespace
    :param device: as ``major:minor``
    """
    with contextlib.suppress(OSError, ValueError):
        own = {mount.identity for mount in mounts if mount.number == device}
        return bool(own) and (
            any(_device_of(mounts, os.readlink(process / name)) == device
                for name in ('cwd', 'root'))
            or not own.isdisjoint(_open_on(process))
            or device in _mapped(process))
    return False


def _device_of(mounts: Sequence[mounttable.Mount], path: str) -> str | None:
    """Return the device that a path of a mount namespace is on."""
    found = [mount for mount in mounts
             if f'{path}/'.startswith(f'{mount.point.rstrip("/")}/')]
    return max(found, key=lambda mount: len(mount.point)).number if (
        found) else None


def _open_on(process: pathlib.Path) -> Iterator[str]:
    """Yield the mounts on which a process has files open."""
    for entry in (process / 'fdinfo').iterdir():
        with contextlib.suppress(OSError):
            for line in entry.read_bytes().split(b'\n'):
                key, _separator, value = line.partition(b':')
                if key == b'mnt_id':
                    yield value.strip().decode()


def _mapped(process: pathlib.Path) -> Iterator[str]:
    """Yield the devices of files that are in a process's memory."""
    for line in (process / 'maps').read_bytes().split(b'\n'):
        fields = line.split(maxsplit=4)
        if len(fields) > 3:
            major, minor = fields[3].split(b':')
            yield f'{int(major, 16)}:{int(minor, 16)}'


def _identity(process: pathlib.Path) -> tuple[int, str]:
    number, name = int(process.name), '?'
    with contextlib.suppress(OSError):
        # The kernel lets a name have any bytes but those that end a line.
        for line in (process / 'status').read_bytes().split(b'\n'):
            key, _separator, value = line.partition(b':')
            if key == b'Name':
                name = _printable(value.strip())
            elif key == b'NSpid':
                number = int(value.split()[-1])
    return number, name


def _printable(name: bytes) -> str:
    """Return what no terminal that shows a log or a fault obeys to."""
    return ''.join(each if each.isprintable() else '?'
                   for each in name.decode(errors='replace'))
