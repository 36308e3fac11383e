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

"""Tests of nova_docker.images.rootfs."""

from collections.abc import Callable
import gzip
import itertools
import tarfile
from unittest import mock

import ddt
import zstandard

from nova_docker.images import limits
from nova_docker.images import rootfs
from nova_docker.images import tarstream
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import polyglots
from nova_docker.tests.unit.images import test_tarstream as raw

TREE = archives.tar([
    archives.special('./', tarfile.DIRTYPE),
    ('./bin/busybox', b'\x7fELF' * 50_000),
    archives.special('./bin/sh', tarfile.LNKTYPE, './bin/busybox'),
    archives.special('./usr', tarfile.SYMTYPE, '/'),
    archives.special('./dev/null', tarfile.CHRTYPE)])


@ddt.ddt
class CheckedTest(base.TestCase):

    def check(self, content: bytes, size: int = 10_000,
              limit: int = archives.ROOM) -> bytes:
        return b''.join(rootfs.checked(archives.pieces(content, size),
                                       limit=limit))

    def refused(self, content: bytes, limit: int = archives.ROOM) -> str:
        """Check that a refusal comes before the archive's end."""
        passed = bytearray()
        stream = rootfs.checked(archives.pieces(content, 1000), limit=limit)

        def consume() -> None:
            for piece in stream:
                passed.extend(piece)
        error = self.assertRaises(limits.Unacceptable, consume)
        walker = tarstream.Walker(raw.Recorder())
        walker.feed(bytes(passed))
        self.assertFalse(walker.ended)
        return str(error)

    @ddt.data(bytes, gzip.compress, zstandard.ZstdCompressor().compress)
    def test_passes_unpacked(self, compress: Callable[[bytes], bytes]
                             ) -> None:
        for size in (100, 512, 2 ** 20):
            found = self.check(compress(TREE), size)
            self.assertEqual(raw.walk(TREE).members, raw.walk(found).members)

    def test_truncated_or_damaged_anywhere(self) -> None:
        for packed in (TREE, gzip.compress(TREE)):
            end = len(packed.rstrip(b'\0'))
            for cut in range(0, end, max(1, end // 50)):
                self.refused(packed[:cut])
        self.assertIn('checksum', self.refused(TREE[:512] + b'x' * 512))

    def test_something_behind_it(self) -> None:
        self.assertIn('after its end', self.refused(TREE + TREE))

    def test_a_container_image(self) -> None:
        layout = archives.Layout()
        for content in (archives.tar(archives.saved().items()),
                        layout.packed(layout.image())):
            self.assertIn('container format "docker"', self.refused(content))

    def test_a_tree_may_have_such_a_file(self) -> None:
        content = archives.tar([('manifest.json', b'{}'), ('bin/sh', b'')])
        self.assertTrue(self.check(content))

    def test_a_bomb(self) -> None:
        bomb = gzip.compress(archives.tar([('bin/zeros', bytes(2 ** 25))]))
        self.assertIn('unpacks to more', self.refused(bomb, limit=2 ** 24))
        self.assertIn('sparse', self.refused(
            raw.header(kind=b'S') + tarstream.END))

    @ddt.data(*itertools.product(
        (polyglots.zstd, polyglots.xz), (bytes, gzip.compress)))
    @ddt.unpack
    def test_a_bomb_to_the_engine_that_is_a_plain_tree_here(
            self, make: Callable[[bytes], bytes],
            compress: Callable[[bytes], bytes]) -> None:
        content = make(archives.tar([('bin/zeros', bytes(2 ** 25))]))
        self.assertIn('as compressed data does',
                      self.refused(compress(content), limit=2 ** 24))

    def test_too_many_files(self) -> None:
        with mock.patch.object(limits, 'MAX_FILES', 20):
            self.assertIn('more than 20 files', self.refused(
                archives.tar((str(number), b'') for number in range(21))))
            self.assertIn('more than 20 files', self.refused(
                raw.extended(b'x', raw.record('comment', '')) * 21 + TREE))

    def test_something_else(self) -> None:
        self.assertIn('it is empty', self.refused(b''))
        self.assertIn('boot sector', self.refused(
            bytes(510) + b'\x55\xaa' + bytes(100_000)))
