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

"""What an archive in a file is."""

from __future__ import annotations

import gzip
import hashlib
import os
import pathlib
import platform
from unittest import mock

import ddt
import fixtures
import zstandard

from nova_docker.cmd import contents
from nova_docker.engine import client
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives

_LAYERS = len(archives.LOWER) + len(archives.UPPER)


@ddt.ddt
class FileTestCase(base.TestCase):
    def file(self, content: bytes) -> pathlib.Path:
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'file')
        path.write_bytes(content)
        return path

    def content(self, packed: bytes) -> contents.Content:
        found = contents.of_file(self.file(packed))
        self.assertEqual(f'sha256:{hashlib.sha256(packed).hexdigest()}',
                         found.identity)
        self.assertEqual(packed, b''.join(found.pieces()))
        self.assertEqual(len(packed), found.size)
        return found

    @ddt.data(('amd64', 'x86_64'), ('arm64', 'aarch64'), ('386', 'i686'),
              ('s390x', 's390x'))
    @ddt.unpack
    def test_architecture(self, named: str, architecture: str) -> None:
        found = self.content(archives.tar(archives.saved({
            'config.json': archives.config(architecture=named)}).items()))
        self.assertEqual(architecture, found.architecture)
        self.assertEqual('docker', found.container_format)

    def test_size(self) -> None:
        """It is that of the files, however they are packed."""
        saved = archives.tar(archives.saved().items())
        layout = archives.Layout()
        packed = layout.packed(layout.image(
            [gzip.compress(archives.LOWER), gzip.compress(archives.UPPER)]))
        for each in (saved, gzip.compress(saved), packed):
            unpacked = self.content(each).unpacked
            self.assertTrue(_LAYERS <= unpacked < _LAYERS + 1000, unpacked)

    def test_root_file_system(self) -> None:
        tree = archives.tar([('etc/hostname', b'x'), ('manifest.json', b'')])
        found = self.content(gzip.compress(tree))
        self.assertEqual('bare', found.container_format)
        self.assertTrue(len(tree) <= found.unpacked < len(tree) + 2000)

    def test_neither(self) -> None:
        path = self.file(archives.tar([('hello', b'x')]))
        error = self.assertRaises(limits.Unacceptable, contents.of_file, path)
        self.assertIn('bin, sbin', error.reason)

    def test_no_regular_file(self) -> None:
        """A pipe has nothing more for who reads it again."""
        pipe = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'pipe')
        os.mkfifo(pipe)
        for path in (pipe, pathlib.Path('-')):
            error = self.assertRaises(limits.Unacceptable, contents.of_file,
                                      path)
            self.assertIn('save it to one first', error.reason)

    def test_two_images(self) -> None:
        path = self.file(archives.tar(archives.saved({
            'manifest.json': b'[{}, {}]'}).items()))
        error = self.assertRaises(limits.Unacceptable, contents.of_file, path)
        self.assertIn('2 images', error.reason)


class EngineTestCase(base.TestCase):
    def test_no_architecture(self) -> None:
        """Who makes an image may leave it out; Nova takes no empty one."""
        engine = mock.create_autospec(client.Engine, instance=True)
        engine.image.return_value = {'Id': 'sha256:0', 'Os': 'linux',
                                     'Architecture': '', 'Size': 1}
        self.assertEqual(platform.machine(), contents.of_engine(
            engine, 'web').architecture)


@ddt.ddt
class SizeTestCase(base.TestCase):
    @ddt.data((0, 0), (1, 1), (1024 ** 3, 1), (1024 ** 3 + 1, 2))
    @ddt.unpack
    def test_gib(self, size: int, expected: int) -> None:
        self.assertEqual(expected, contents.gib(size))

    def test_compressed(self) -> None:
        pieces = [b'one', bytes(10 ** 6), b'two']
        packed = b''.join(contents.compressed(pieces))
        self.assertLess(len(packed), 1000)
        self.assertEqual(b''.join(pieces), zstandard.ZstdDecompressor(
            ).decompressobj().decompress(packed))
