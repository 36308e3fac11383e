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

"""Streaming gzip and zstd decompression in pieces of bounded size."""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
import re
from typing import Protocol
import zlib

import zstandard

from nova_docker.images import limits

GZIP = b'\x1f\x8b'
ZSTD = b'\x28\xb5\x2f\xfd'
_MAGIC = 4
#: What an engine unpacks besides; zstd here begins with a frame to skip.
_ENGINES_OWN = re.compile(rb'BZh|\xfd7zXZ\0|[\x50-\x5f]\*M\x18')

#: Bytes in the largest piece handed on.
PIECE = 1024 * 1024
#: A zstd frame may ask for a window of this many bytes, which is memory of
#: ours. "zstd -20" stays below it; "--ultra -21" and "--long=26" do not.
MAX_WINDOW = 32 * 1024 ** 2
# Four bytes of zstd can unpack to 128 KiB, and its decompressor returns all
# that its input unpacks to: so it gets its input in spoonfuls. gzip's copies
# what is left of its input at the end of each member.
_ZSTD_SPOON = 512
_GZIP_SPOON = 64 * 1024

Data = bytes | memoryview


class Decompressor(Protocol):
    """Takes compressed bytes as they come."""

    def feed(self, data: Data) -> Iterator[Data]:
        """Yield what the bytes unpack to, in pieces of at most PIECE."""

    def close(self) -> None:
        """Raise Unacceptable when the compressed stream is incomplete."""


def _spoons(data: Data, size: int) -> Iterator[Data]:
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start:start + size]


class _Gunzip:
    def __init__(self, budget: limits.Budget) -> None:
        self._budget = budget
        self._stream = zlib.decompressobj(wbits=31)

    def feed(self, data: Data) -> Iterator[Data]:
        for spoon in _spoons(data, _GZIP_SPOON):
            yield from self._unpack(spoon)

    def _unpack(self, data: Data) -> Iterator[Data]:
        full = False
        while data or full:
            if self._stream.eof:
                # gzip allows members one after the other (pigz and bgzip
                # write them) and padding after the last.
                data = bytes(data).lstrip(b'\0')
                if not data:
                    return
                self._budget.frame()
                self._stream = zlib.decompressobj(wbits=31)
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error as error:
                raise limits.Unacceptable(
                    f'its gzip compression is damaged ({error})') from error
            data = self._stream.unconsumed_tail or self._stream.unused_data
            # A full piece may have more behind it, with all input taken.
            full = len(piece) == PIECE
            if piece:
                yield piece

    def close(self) -> None:
        if not self._stream.eof:
            raise limits.Unacceptable(
                'its gzip compression ends in the middle: it is truncated')


class _Unzstd:
    def __init__(self, budget: limits.Budget) -> None:
        self._budget = budget
        self._make = zstandard.ZstdDecompressor(
            max_window_size=MAX_WINDOW).decompressobj
        self._frame = self._make()

    def feed(self, data: Data) -> Iterator[Data]:
        for spoon in _spoons(data, _ZSTD_SPOON):
            while spoon:
                if self._frame.eof:
                    self._budget.frame()
                    self._frame = self._make()
                try:
                    piece = self._frame.decompress(spoon)
                except zstandard.ZstdError as error:
                    raise limits.Unacceptable(
                        f'its zstd compression is damaged ({error})'
                    ) from error
                spoon = self._frame.unused_data
                unpacked = memoryview(piece)
                for at in range(0, len(unpacked), PIECE):
                    yield unpacked[at:at + PIECE]

    def close(self) -> None:
        if not self._frame.eof:
            raise limits.Unacceptable(
                'its zstd compression ends in the middle: it is truncated')


def decompressor(head: bytes, budget: limits.Budget) -> Decompressor | None:
    """Return what undoes the compression that a stream's first bytes show.

    :param head: at least the first four bytes, if there are as many
    :param budget: pays for the parts that it is in
    :returns: None for a stream that is not compressed by gzip or zstd
    """
    if head.startswith(GZIP):
        return _Gunzip(budget)
    if head.startswith(ZSTD):
        return _Unzstd(budget)
    return None


def engine_unpacks(head: bytes) -> bool:
    """Tell if an engine would unpack what begins like this.

    It goes by the first bytes alone, be they the name in a tar header, and
    knows more formats than this module does.
    https://github.com/moby/go-archive/blob/main/compression/compression_detect.go

    :param head: at least the first six bytes
    """
    return bool(head.startswith((GZIP, ZSTD)) or _ENGINES_OWN.match(head))


def unpacked(chunks: Iterable[Data], budget: limits.Budget) -> Iterator[Data]:
    """Yield a stream without its outer compression, if it has any.

    :param budget: pays for what comes out
    :raises Unacceptable: for a damaged or truncated stream
    """
    stream = iter(chunks)
    head = b''
    while len(head) < _MAGIC and (chunk := next(stream, b'')):
        head += chunk
    inner = decompressor(head, budget)
    for chunk in itertools.chain([head], stream):
        for piece in inner.feed(chunk) if inner else [chunk]:
            budget.spend(len(piece))
            yield piece
    if inner:
        inner.close()
