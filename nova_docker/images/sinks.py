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

"""Where the data of an archive's members goes, by what a member is."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import IO
from typing import Protocol
from typing import TypeAlias

from nova_docker.images import compression
from nova_docker.images import layers
from nova_docker.images import tarstream

#: Takes what the engine gets, as a stream of its own.
Emit: TypeAlias = Callable[[Iterable[bytes]], None]


class Sink(Protocol):
    """Takes the data of one member."""

    def write(self, data: compression.Data) -> None:
        """Take a piece."""

    def close(self) -> None:
        """Take the end."""


class Ignored:
    """A member that the engine does not need."""

    def write(self, data: compression.Data) -> None:
        """Drop it."""

    def close(self) -> None:
        """There is nothing to do."""


class Document:
    """A member kept in memory until all are known."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        self._content = bytearray()

    def write(self, data: compression.Data) -> None:
        self._content += data

    def close(self) -> None:
        self._keep(bytes(self._content))


class PlainLayer:
    """A layer that passes as it is.

    :param name: its name in the engine's archive
    :param size: bytes that will be written
    :param note: is told the digest of what the layer unpacks to
    """

    def __init__(self, name: str, size: int, check: layers.Layer,
                 note: Callable[[str | None], None], emit: Emit) -> None:
        self._padding = tarstream.padding(size)
        self._check = check
        self._note = note
        self._emit = emit
        emit([tarstream.encode(name, size)])

    def write(self, data: compression.Data) -> None:
        for _piece in self._check.feed(data):
            pass
        self._emit([bytes(data)])

    def close(self) -> None:
        self._note(self._check.close())
        self._emit([self._padding])


class ZstdLayer:
    """A layer that passes unpacked, since engines before 23 lack zstd.

    In a tar archive the size stands before the data, and unpacking is the
    only way to learn it: so through a file.

    :param name: its name in the engine's archive
    :param file: an empty one; is closed in the end
    :param note: is told the digest of what the layer unpacks to
    """

    def __init__(self, name: str, file: IO[bytes], check: layers.Layer,
                 note: Callable[[str | None], None], emit: Emit) -> None:
        self._name = name
        self._file = file
        self._check = check
        self._note = note
        self._emit = emit

    def write(self, data: compression.Data) -> None:
        for piece in self._check.feed(data):
            self._file.write(piece)

    def close(self) -> None:
        self._note(self._check.close())
        self._emit(self._contents())

    def _contents(self) -> Iterator[bytes]:
        size = self._file.tell()
        yield tarstream.encode(self._name, size)
        self._file.seek(0)
        with self._file:
            while piece := self._file.read(compression.PIECE):
                yield piece
        yield tarstream.padding(size)
