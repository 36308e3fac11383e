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
    if mounttable.find(point) is None:
        return []
    device = os.stat(point).st_dev
    return [_identity(process) for process in _processes()
            if device in _devices(process)]


def _processes() -> Iterator[pathlib.Path]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield entry


def _devices(process: pathlib.Path) -> Iterator[int]:
    """Yield the file systems on which a process has something open."""
    names = ['cwd', 'root', 'exe']
    for directory in ('fd', 'map_files'):
        # It may end at any time.
        with contextlib.suppress(OSError):
            names += [f'{directory}/{name}'
                      for name in os.listdir(process / directory)]
    for name in names:
        with contextlib.suppress(OSError):
            yield os.stat(process / name).st_dev


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
