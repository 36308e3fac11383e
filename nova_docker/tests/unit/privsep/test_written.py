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

"""What was written to a device, encrypted or not."""

from __future__ import annotations

import os
import pathlib
from unittest import mock

import ddt
import fixtures
from oslo_concurrency import processutils

from nova_docker.privsep import written
from nova_docker.tests import base

_SECTOR = 512
_NOISE = b'n' * _SECTOR
_ZEROS = bytes(_SECTOR)


class ContentTestCase(base.TestCase):
    """A device of sectors: text, nothing, zeros."""

    def setUp(self) -> None:
        super().setUp()
        self.device = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'device')
        self.text = b'text'.ljust(_SECTOR, b'.')
        self.device.write_bytes(self.text + _NOISE + _ZEROS)
        self.below = mock.create_autospec(written.Ciphertext, instance=True)
        # No two sectors are encrypted alike.
        self.ciphertext = b'1' * _SECTOR + _ZEROS + b'3' * _SECTOR
        self.below.read.side_effect = lambda start, length: (
            self.ciphertext[start:start + length])

    def read(self, start: int, length: int) -> bytes:
        """Read from it, when it is decrypted."""
        with self.device.open('rb', buffering=0) as file:
            return written.Content(file, self.below).read(start, length)

    def test_one_that_is_not_encrypted(self) -> None:
        with written.opened(str(self.device)) as content:
            self.assertEqual(3 * _SECTOR, content.size)
            self.assertEqual(self.text + _NOISE + _ZEROS,
                             content.read(0, 1 << 20))

    def test_noise_is_zeros(self) -> None:
        self.assertEqual(self.text + 2 * _ZEROS, self.read(0, 4096))

    def test_a_piece(self) -> None:
        self.assertEqual(b'text', self.read(0, 4))
        self.assertEqual(_ZEROS, self.read(_SECTOR, _SECTOR))
        self.assertEqual(b'', self.read(3 * _SECTOR, _SECTOR))

    def test_nothing_was_written(self) -> None:
        self.ciphertext = 3 * _ZEROS
        self.assertEqual(3 * _ZEROS, self.read(0, 4096))

    def test_one_byte_was_written(self) -> None:
        """dm-crypt reads the rest and writes all of it."""
        self.ciphertext = 2 * _ZEROS + _ZEROS[:-1] + b'3'
        self.device.write_bytes(2 * _NOISE + b'x' + _NOISE[1:])
        self.assertEqual(2 * _ZEROS + b'x' + _NOISE[1:], self.read(0, 4096))


@ddt.ddt
class BeneathTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        devices = self.useFixture(fixtures.TempDir()).path
        for number, name in (('7:5', 'loop5'), ('104:0', 'cciss!c0d0')):
            os.symlink(f'../../devices/block/{name}', f'{devices}/{number}')
        self.useFixture(fixtures.MockPatchObject(
            written, '_DEVICES', devices))
        self.devices = pathlib.Path(devices)

    @ddt.data(
        ('0 126976 crypt aes-xts-plain64 000000 0 7:5 4096\n',
         ('/dev/loop5', 2 << 20)),
        ('0 98304 crypt aes-xts-plain64 :64:logon:cryptsetup:0-d0 0 104:0 '
         '32768 1 sector_size:4096\n', ('/dev/cciss/c0d0', 16 << 20)),
        ('0 98304 crypt capi:gcm(aes)-random :64:logon:cryptsetup:0-d0 0 '
         '7:5 0 1 integrity:28:aead\n', None),
        ('0 98304 crypt aes-xts-plain64 0 0 7:5 32768\n'
         '98304 98304 crypt aes-xts-plain64 0 98304 7:5 130000\n', None),
        ('0 126976 linear 7:5 4096\n', None), ('', None))
    @ddt.unpack
    def test_a_table(self, table: str, expected: tuple[str, int] | None
                     ) -> None:
        with mock.patch.object(written, 'table', autospec=True,
                               return_value=table) as asked:
            self.assertEqual(expected, written.beneath('/dev/dm-0'))
        asked.assert_called_once_with('/dev/dm-0')

    def test_who_is_asked(self) -> None:
        """Nobody but of what device mapper has made."""
        with mock.patch.object(processutils, 'execute', autospec=True,
                               return_value=('a table', '')) as execute:
            self.assertEqual('', written.table('/dev/null'))
            execute.assert_not_called()
            (self.devices / '1:3/dm').mkdir(parents=True)
            self.assertEqual('a table', written.table('/dev/null'))
        execute.assert_called_once_with(
            'dmsetup', 'table', '--major', '1', '--minor', '3')
