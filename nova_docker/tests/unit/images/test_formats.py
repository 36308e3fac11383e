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

"""Tests of nova_docker.images.formats."""

import ddt

from nova_docker.images import formats
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives


def at(place: int, magic: bytes) -> bytes:
    return (b'\x01' * place + magic).ljust(place + 40_000, b'\x01')


@ddt.ddt
class TarOnlyTest(base.TestCase):

    def test_a_tar_passes_as_it_is(self) -> None:
        for archive in (archives.LOWER, archives.tar([]),
                        archives.tar([('manifest.json', b'[]')])):
            for size in (100, 2 ** 20):
                self.assertEqual(archive, b''.join(formats.tar_only(
                    archives.pieces(archive, size))))

    @ddt.data(
        (b'', 'it is empty'),
        (at(0, b'QFI\xfb'), 'QCOW'),
        (at(0, b'KDMV'), 'VMDK'),
        (at(0, b'# Disk DescriptorFile'), 'VMDK'),
        (at(0, b'vhdxfile'), 'VHDX'),
        (at(0, b'conectix'), 'VHD'),
        (at(64, b'\x7f\x10\xda\xbe'), 'VDI'),
        (at(0x8001, b'CD001'), 'ISO 9660'),
        (at(0, b'hsqs'), 'squashfs'),
        (at(0x438, b'\x53\xef'), 'ext4'),
        (at(0, b'\x7fELF'), 'ELF'),
        (at(0, b'\xfd7zXZ\0'), 'xz'),
        (at(0, b'BZh9'), 'bzip2'),
        (at(0, b'PK\x03\x04'), 'ZIP'),
        (at(0, b"7z\xbc\xaf'\x1c"), '7-Zip'),
        (at(0, b'\x1f\x8b'), 'compressed twice'),
        (at(0, b'\x28\xb5\x2f\xfd'), 'compressed twice'),
        (b'<!DOCTYPE html><title>404</title>', 'HTML'),
        (b'<HTML>', 'HTML'),
        (at(510, b'\x55\xaa'), 'boot sector'),
        (b'hello', 'no tar archive'),
        (b'\x01' * 100_000, 'no tar archive'),
    )
    @ddt.unpack
    def test_refuses_by_name(self, content: bytes, name: str) -> None:
        for size in (1000, 2 ** 20):
            error = self.assertRaises(
                limits.Unacceptable, formats.tar_only,
                archives.pieces(content, size))
            self.assertIn(name, error.reason)
