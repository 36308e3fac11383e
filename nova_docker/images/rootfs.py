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

"""Checks a plain root file system archive on its way to ``docker import``."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from nova_docker.images import compression
from nova_docker.images import documents
from nova_docker.images import formats
from nova_docker.images import limits
from nova_docker.images import tarstream

#: What a root file system has at its top, one of them at least.
_TOP: Final = frozenset(('bin', 'sbin', 'usr', 'etc', 'lib', 'init'))


class _Top:
    """The names at the top of the tree; the visitor of its walk."""

    def __init__(self, budget: limits.Budget) -> None:
        self._budget = budget
        self._marks: set[str] = set()

    def extended(self) -> None:
        self._budget.file()

    def begin(self, header: tarstream.Header) -> None:
        self._budget.file()
        top = header.name.removeprefix('./').lstrip('/').split('/', 1)[0]
        if top in _TOP or top in (documents.MANIFEST, documents.INDEX):
            self._marks.add(top)

    def data(self, piece: memoryview) -> None:
        """What is in the files is the tenant's own business."""

    def end(self) -> None:
        """Nothing is kept of a file."""

    @property
    def found(self) -> bool:
        """Whether it is a root file system as far as its names tell."""
        return bool(self._marks & _TOP)

    def check(self) -> None:
        """Refuse what is an archive of another kind."""
        if self._marks and not self.found:
            raise limits.Unacceptable(
                'it is a container image and no root file system: it needs '
                'the container format "docker"')


def is_one(chunks: Iterable[compression.Data], *, limit: int) -> bool:
    """Tell a root file system from the archive of an image.

    :param chunks: the archive, plain or compressed with gzip or zstd
    :param limit: bytes that it may unpack to
    :raises Unacceptable: for what is no tar archive, damaged, incomplete or
        too large
    """
    budget = limits.Budget(limit)
    top = _Top(budget)
    walker = tarstream.Walker(top)
    for piece in formats.tar_only(compression.unpacked(chunks, budget)):
        walker.feed(piece)
    walker.close()
    return top.found


def checked(chunks: Iterable[compression.Data], *,
            limit: int) -> Iterator[bytes]:
    """Yield the tar archive of a root file system, unpacked.

    :param chunks: the archive, plain or compressed with gzip or zstd
    :param limit: bytes that it may unpack to
    :raises Unacceptable: before the archive's end is handed on, when it is
        anything else, damaged, incomplete or too large
    """
    budget = limits.Budget(limit)
    top = _Top(budget)
    walker = tarstream.Walker(top)
    held = b''
    size = 0
    for piece in formats.tar_only(compression.unpacked(chunks, budget)):
        walker.feed(piece)
        if held:
            continue
        size += len(piece)
        if not walker.ended:
            yield bytes(piece)
        else:
            # The engine is content with the archive's end and does not wait
            # for the stream's: so keep it until the source is content too.
            held = bytes(piece)
    walker.close()
    top.check()
    yield held + tarstream.padding(size) + tarstream.END
