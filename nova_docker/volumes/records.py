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

"""What is connected to this host, and for whom: found again after a crash.

A record is written before the first step of an attachment and removed after
the last one of its end, so that nothing is ever connected without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import enum
import os
import pathlib
import re
from typing import Any

from oslo_serialization import jsonutils

from nova_docker.volumes import propagate

_NAME = re.compile('[A-Za-z0-9][A-Za-z0-9_-]*')


class State(enum.StrEnum):
    """How far an attachment is."""

    ATTACHING = 'attaching'
    ATTACHED = 'attached'
    DETACHING = 'detaching'
    #: It is copied to other storage; it is still where it was.
    MOVING = 'moving'
    #: It is on other storage; where it was has to be disconnected.
    MOVED = 'moved'


@dataclasses.dataclass(frozen=True)
class Record:
    """A volume of an instance on this host.

    :param name: of its directory in the instance
    :param device: what Nova calls it, as ``vdb``
    :param connection: what Cinder says of how to connect it
    :param found: what os-brick said when it had connected it
    :param encryption: what Cinder says of its encryption
    :param read_only: nothing may be written to it
    :param shared: other servers have it, or can get it
    :param root: it is the server's root disk
    :param image: what it was made from, as Cinder describes that
    :param other: ``connection`` and ``found`` of where it moves to, or of
        where it has moved from
    """

    instance: str
    volume: str
    name: str
    device: str
    connection: Mapping[str, Any]
    found: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    encryption: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    state: State = State.ATTACHING
    read_only: bool = False
    shared: bool = False
    root: bool = False
    image: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> str | None:
        """The device, or the file, that os-brick found."""
        found: str | None = self.found.get('path')
        return found

    @property
    def kind(self) -> propagate.Kind:
        """Where it is mounted."""
        return (propagate.Kind.ROOT if self.root
                else propagate.Kind.VOLUMES)


class Records:
    """Keeps records, each in a file that only nova-compute's user can read.

    :param root: a directory of their own
    """

    def __init__(self, root: str) -> None:
        self._root = pathlib.Path(root)

    def save(self, record: Record) -> Record:
        """Write a record over the one before, and return it."""
        path = self._path(record.instance, record.volume)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = jsonutils.dump_as_bytes(dataclasses.asdict(record))
        draft = path.with_suffix('.new')
        descriptor = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
        return record

    def tidy(self) -> None:
        """Remove what a nova-compute left that was killed while it wrote.

        That are drafts, and directories of instances without a record.
        """
        for directory in _listed(self._root):
            for draft in _listed(directory, '.new'):
                draft.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                directory.rmdir()

    def find(self, instance: str, volume: str) -> Record | None:
        """Return the record of a volume, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            return _read(self._path(instance, volume))
        return None

    def of_instance(self, instance: str) -> list[Record]:
        """Return an instance's records, in the order of its devices."""
        return sorted(_read_all(self._root / instance),
                      key=lambda each: each.device)

    def root(self, instance: str) -> Record | None:
        """Return the volume that is an instance's root disk, if one is."""
        return next((each for each in self.of_instance(instance)
                     if each.root), None)

    def all(self) -> list[Record]:
        """Return every record of this host."""
        return [record for directory in _listed(self._root)
                for record in _read_all(directory)]

    def has_neighbour(self, record: Record) -> bool:
        """Tell whether another volume is a file on the same share."""
        share = os.path.dirname(str(record.path))
        return any(os.path.dirname(str(each.path)) == share
                   for each in self.all() if each.volume != record.volume)

    def remove(self, record: Record) -> None:
        """Remove a record; it may be gone already."""
        path = self._path(record.instance, record.volume)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    def link(self, record: Record) -> str:
        """Return a path beside the record, for a link to its device."""
        return str(self._path(record.instance, record.volume
                              ).with_suffix(''))

    def _path(self, instance: str, volume: str) -> pathlib.Path:
        for name in (instance, volume):
            if not _NAME.fullmatch(name):
                raise ValueError(f'{name!r} is no id')
        return self._root / instance / f'{volume}.json'


def _listed(directory: pathlib.Path, suffix: str = '') -> list[pathlib.Path]:
    """Return what is in a directory, which may go at any moment."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [directory / name for name in os.listdir(directory)
                if name.endswith(suffix)]
    return []


def _read_all(directory: pathlib.Path) -> Iterator[Record]:
    for path in _listed(directory, '.json'):
        # Another volume may be detached meanwhile.
        with contextlib.suppress(FileNotFoundError):
            yield _read(path)


def _read(path: pathlib.Path) -> Record:
    fields = jsonutils.loads(path.read_bytes())
    return Record(**{**fields, 'state': State(fields['state'])})
