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

"""Tests of nova_docker.images.compression."""

from collections.abc import Callable
import gzip
import os
import tracemalloc

import ddt
import fixtures
import zstandard

from nova_docker.images import compression
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives

CONTENT = os.urandom(300_000) + bytes(3_000_000)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


FORMATS: tuple[Callable[[bytes], bytes], ...] = (gzip.compress, zstd)


def unpack(content: bytes, size: int = 2 ** 16,
           limit: int = archives.ROOM) -> bytes:
    return b''.join(compression.unpacked(
        archives.pieces(content, size), limits.Budget(limit)))


@ddt.ddt
class UnpackedTest(base.TestCase):

    def refused(self, content: bytes, **options: int) -> str:
        return str(self.assertRaises(limits.Unacceptable, unpack, content,
                                     **options))

    def test_what_is_not_compressed_stays(self) -> None:
        for content in (b'', b'x', b'xyz', CONTENT):
            for size in (1000, 2 ** 20):
                self.assertEqual(content, unpack(content, size))

    @ddt.data(*FORMATS)
    def test_unpacks_in_any_pieces(self, compress: Callable[[bytes], bytes]
                                   ) -> None:
        for size in (1, 3, 1023, 2 ** 20):
            content = CONTENT[290_000:] if size < 10 else CONTENT
            self.assertEqual(content, unpack(compress(content), size))

    @ddt.data(*FORMATS)
    def test_unpacks_several_in_a_row(self, compress: Callable[[bytes], bytes]
                                      ) -> None:
        packed = compress(b'one') + compress(b'') + compress(CONTENT)
        for size in (7, 2 ** 20):
            self.assertEqual(b'one' + CONTENT, unpack(packed, size))

    def test_gzip_may_be_padded(self) -> None:
        self.assertEqual(b'one', unpack(gzip.compress(b'one') + bytes(1000)))

    @ddt.data(*FORMATS)
    def test_truncated_anywhere(self, compress: Callable[[bytes], bytes]
                                ) -> None:
        packed = compress(CONTENT)
        for cut in (5, 1000, len(packed) // 2, len(packed) - 4,
                    len(packed) - 1):
            self.assertIn('truncated', self.refused(packed[:cut]))

    @ddt.data(*FORMATS)
    def test_damaged(self, compress: Callable[[bytes], bytes]) -> None:
        packed = bytearray(compress(CONTENT))
        packed[-3] ^= 1
        self.assertIn('damaged', self.refused(bytes(packed)))

    @ddt.data(*FORMATS)
    def test_something_behind_it(self, compress: Callable[[bytes], bytes]
                                 ) -> None:
        self.assertIn('damaged', self.refused(compress(b'one') + b'garbage'))

    @ddt.data(*FORMATS)
    def test_a_bomb_is_refused_in_constant_memory(
            self, compress: Callable[[bytes], bytes]) -> None:
        bomb = compress(bytes(2 ** 28))
        self.assertLess(len(bomb), 2 ** 20)
        stream = compression.unpacked(archives.pieces(bomb, 2 ** 20),
                                      limits.Budget(2 ** 27))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        error = self.assertRaises(limits.Unacceptable,
                                  lambda: max(len(each) for each in stream))
        self.assertIn('more than 0.125 GiB', error.reason)
        self.assertLess(tracemalloc.get_traced_memory()[1], 2 ** 26)

    @ddt.data(*FORMATS)
    def test_too_many_parts(self, compress: Callable[[bytes], bytes]) -> None:
        self.useFixture(fixtures.MockPatchObject(limits, 'MAX_FRAMES', 20))
        empty = compress(b'')
        self.assertEqual(b'', unpack(empty * 21))
        self.assertIn('more than 20 parts', self.refused(empty * 22))

    def test_a_window_that_takes_too_much_memory(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=27)
        packed = zstandard.ZstdCompressor(
            compression_params=parameters).compressobj().compress(
                os.urandom(2 ** 20))
        self.assertIn('damaged', self.refused(packed))
