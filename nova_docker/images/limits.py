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

"""What an image may cost, and how one that costs more is refused."""

from typing import Final

#: Bytes of JSON held in memory for one archive, and for one document of it.
MAX_DOCUMENTS: Final = 32 * 1024 ** 2
MAX_DOCUMENT: Final = 4 * 1024 ** 2
#: Members of one archive, those of its layers not counted. A header that only
#: says more of a member is one here, as it is a file below.
MAX_MEMBERS: Final = 10_000
#: Files in all layers of an image: each costs the host an inode.
MAX_FILES: Final = 4_000_000
#: Members of gzip and frames of zstd, in all that an image has. Some builders
#: make one or two for each file.
MAX_FRAMES: Final = 10_000_000

_GIB: Final = 1024 ** 3


class Unacceptable(Exception):
    """An image that must not reach the engine.

    :param reason: what is wrong, as the end of a sentence for its owner
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def quoted(text: str) -> str:
    """Return words of an image's owner as a reason may have them."""
    return repr(text[:80])


def printable(text: str) -> str:
    """Return words from elsewhere without commands for a terminal."""
    return ''.join(each if each.isprintable() else '?' for each in text)


class Budget:
    """Counts what one image unpacks to, and refuses it when that is too much.

    A few kilobytes of compressed zeros must not fill the host's disk.

    :param limit: bytes that the image may unpack to
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._files = 0
        self._frames = 0

    def spend(self, size: int) -> None:
        """Count unpacked bytes."""
        self._bytes += size
        if self._bytes > self._limit:
            raise Unacceptable(
                f'it unpacks to more than {self._limit / _GIB:g} GiB')

    def file(self) -> None:
        """Count one file of a layer."""
        self._files += 1
        if self._files > MAX_FILES:
            raise Unacceptable(f'it has more than {MAX_FILES} files')

    def frame(self) -> None:
        """Count one part of compressed data that is complete in itself."""
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise Unacceptable(
                f'it is compressed in more than {MAX_FRAMES} parts')
