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

"""What an image is, in the engine or in a file, and how it is sent."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import platform
import stat
import sys
import tarfile
from typing import Any
from typing import Final
from typing import IO

import zstandard

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import archive
from nova_docker.images import compression
from nova_docker.images import limits
from nova_docker.images import rootfs
from nova_docker.images import store

#: An image of one's own has no limit: the compute hosts have theirs.
_UNLIMITED: Final = sys.maxsize
#: What Nova calls the machines that Go knows; others have one name.
_MACHINES: Final = {'amd64': 'x86_64', '386': 'i686', 'arm64': 'aarch64',
                    'arm': 'armv7l', 'ppc64le': 'ppc64le',
                    'riscv64': 'riscv64', 's390x': 's390x'}


@dataclasses.dataclass(frozen=True)
class Content:
    """An image that can be sent to Glance.

    :param identity: a digest that no other image has
    :param container_format: ``docker``, or ``bare`` for a root file system
    :param architecture: as Nova calls it
    :param unpacked: bytes of its files
    :param size: bytes to be read of it, about
    :param pieces: yields it
    :param packed: whether it can't be compressed any more
    """

    identity: str
    container_format: str
    architecture: str
    unpacked: int
    size: int
    pieces: Callable[[], Iterator[bytes]]
    packed: bool


def of_engine(engine: client.Engine, reference: str) -> Content:
    """Return an image of the engine.

    :raises Unacceptable: if there is none, or it is not for Linux
    """
    try:
        found = engine.image(reference)
    except errors.EngineNotFound as error:
        raise limits.Unacceptable(
            'Docker Engine has no image of that name') from error
    if found['Os'] != 'linux':
        raise limits.Unacceptable(f"it is for {found['Os']}")

    def pieces() -> Iterator[bytes]:
        saved = engine.save_image(found['Id'])
        with contextlib.closing(saved):
            yield from archive.sanitised(
                saved, None, architectures=(found['Architecture'],),
                limit=_UNLIMITED)
    return Content(found['Id'], 'docker',
                   _machine(found['Architecture'] or platform.machine()),
                   found['Size'], found['Size'], pieces, False)


def of_file(path: pathlib.Path, report: Callable[
        [int, Iterable[bytes]], Iterator[bytes]] = lambda _, pieces:
        iter(pieces)) -> Content:
    """Return the image in an archive, which is read twice to check it.

    :param report: is shown how long it is, and what is read
    :raises Unacceptable: for what no compute host would take
    :raises OSError: for what is not there
    """
    if os.fspath(path) == '-' or not stat.S_ISREG(path.stat().st_mode):
        raise limits.Unacceptable(
            f'{path} is no regular file, and it is read more than once: save '
            'it to one first')
    size = path.stat().st_size
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for piece in report(size, _read(path)):
            digest.update(piece)
            yield piece
    if rootfs.is_one(hashed(), limit=_UNLIMITED):
        architecture = platform.machine()
        container_format = 'bare'
        unpacked = sum(map(len, rootfs.checked(
            report(size, _read(path)), limit=_UNLIMITED)))
    else:
        architecture, unpacked = _examined(report(size, _read(path)))
        container_format = 'docker'
    return Content(f'sha256:{digest.hexdigest()}', container_format,
                   _machine(architecture), unpacked, size,
                   lambda: _read(path), True)


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream in a form that every compute host unpacks."""
    packer = zstandard.ZstdCompressor().compressobj()
    for piece in pieces:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


def _machine(architecture: str) -> str:
    return _MACHINES.get(architecture, architecture)


def _read(path: pathlib.Path) -> Iterator[bytes]:
    with path.open('rb') as file:
        while piece := file.read(client.CHUNK):
            yield piece


class _Stream(io.RawIOBase):
    """A file that yields what an iterator has."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b'')

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _examined(pieces: Iterable[bytes]) -> tuple[str, int]:
    """Return the architecture of an archived image, and its files' bytes."""
    architecture, unpacked = '', 0
    # Of several, the one for this machine.
    checked = archive.sanitised(
        pieces, None, architectures=(*store.architectures(), *_MACHINES),
        limit=_UNLIMITED)
    with tarfile.open(fileobj=_Stream(checked), mode='r|') as members:
        for member in members:
            content = members.extractfile(member) or io.BytesIO()
            if member.name == 'config.json':
                architecture = json.load(content).get('architecture') or ''
            else:
                unpacked += _unpacked(content)
    # An image without one is for wherever it is.
    return architecture or platform.machine(), unpacked


def _unpacked(content: IO[bytes]) -> int:
    """Return how many bytes a layer unpacks to."""
    pieces = iter(lambda: content.read(client.CHUNK), b'')
    return sum(map(len, compression.unpacked(
        pieces, limits.Budget(_UNLIMITED))))


def gib(size: int) -> int:
    """Return bytes in GiB, rounded up: what a disk must have."""
    return -(-size // 1024 ** 3)
