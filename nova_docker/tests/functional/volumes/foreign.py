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

"""What others have on their volumes, which the driver does not touch."""

from __future__ import annotations

from collections.abc import Callable
import gzip
import os
import pathlib
import random
import struct
import zlib

from nova_docker import errors
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import encryptor


def _write(file: pathlib.Path, *pieces: tuple[int, bytes]) -> None:
    """Write pieces at their offsets; one below zero counts from the end."""
    with file.open('r+b') as target:
        for offset, piece in pieces:
            target.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            target.write(piece)


def _mbr(file: pathlib.Path) -> None:
    entry = struct.pack('<B3sB3sII', 0, b'', 0x83, b'', 2048, 4096)
    _write(file, (446, entry), (510, b'\x55\xaa'))


def _gpt(file: pathlib.Path) -> None:
    """Write a table with its backup at the end, as the standard says."""
    last = file.stat().st_size // 512 - 1
    entries = bytearray(128 * 128)
    entries[:56] = struct.pack(
        '<16s16sQQQ', b'\xaf\x3d\xc6\x0f' * 4, b'1' * 16, 2048, 4095, 0)

    def header(here: int, other: int, table: int) -> bytes:
        fields = [b'EFI PART', 0x10000, 92, 0, 0, here, other, 34, last - 33,
                  b'2' * 16, table, 128, 128, zlib.crc32(entries)]
        layout = '<8sIIIIQQQQ16sQIII'
        fields[3] = zlib.crc32(struct.pack(layout, *fields))
        return struct.pack(layout, *fields)
    protective = struct.pack('<B3sB3sII', 0, b'', 0xee, b'', 1, last)
    _write(file, (446, protective), (510, b'\x55\xaa'),
           (512, header(1, last, 2)), (1024, bytes(entries)),
           ((last - 32) * 512, bytes(entries)),
           (last * 512, header(last, 1, last - 32)))


def luks(file: pathlib.Path) -> None:
    """Write the header of a volume that LUKS encrypts."""
    _write(file, (0, encryptor.header()))


def _lvm(file: pathlib.Path) -> None:
    label = bytearray(512)
    label[:32] = struct.pack('<8sQII8s', b'LABELONE', 1, 0, 32, b'LVM2 001')
    label[32:64] = b'0' * 32
    crc = 0xf597a6cf
    for byte in label[20:]:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
    label[16:20] = struct.pack('<I', crc)
    _write(file, (512, bytes(label)))


def _raid(file: pathlib.Path, offset: int | None = None) -> None:
    """By default version 1.0, whose superblock is near the end.

    :param offset: of the superblock, in sectors
    """
    if offset is None:
        offset = (file.stat().st_size // 512 - 16) & ~7
    block = bytearray(256)
    block[:8] = struct.pack('<II', 0xa92b4efc, 1)
    block[16:32] = b'3' * 16
    block[144:152] = struct.pack('<Q', offset)
    words = struct.unpack('<64I', bytes(block))
    total = sum(words)
    block[216:220] = struct.pack(
        '<I', ((total & 0xffffffff) + (total >> 32)) & 0xffffffff)
    _write(file, (offset * 512, bytes(block)))


def _new_raid(file: pathlib.Path) -> None:
    """Version 1.2, which leaves the first 4 KiB as they were."""
    _raid(file, 8)


def _swap(file: pathlib.Path) -> None:
    base.run('mkswap', file)


def _luks_over_ext4(file: pathlib.Path) -> None:
    base.run('mkfs.ext4', '-q', file)
    luks(file)


def _text(file: pathlib.Path) -> None:
    _write(file, (0, b'#!/bin/sh\n'))


def _archive(file: pathlib.Path) -> None:
    _write(file, (0, gzip.compress(b'a backup' * 100)))


def _qcow2(file: pathlib.Path) -> None:
    _write(file, (0, b'QFI\xfb' + struct.pack('>I', 3)))


def _random(file: pathlib.Path) -> None:
    # The same in each run: two bytes make a magic number by chance.
    _write(file, (0, random.Random(1).randbytes(file.stat().st_size)))


def _middle(file: pathlib.Path) -> None:
    """As what encrypts without a header may look at both ends."""
    _write(file, (file.stat().st_size * 5 // 7, b'x'))


def _end(file: pathlib.Path) -> None:
    _write(file, (-1, b'x'))


def _squashfs(file: pathlib.Path) -> None:
    _write(file, (0, b'hsqs' + struct.pack('<IIIIHHHHHH', 1, 0, 131072, 0, 1,
                                           17, 0, 1, 4, 0)))


def _iso9660(file: pathlib.Path) -> None:
    descriptor = bytearray(2048)
    descriptor[:8] = b'\x01CD001\x01\x00'
    _write(file, (32768, bytes(descriptor)),
           (34816, b'\xffCD001\x01'.ljust(2048, b'\0')))


def _bluestore(file: pathlib.Path) -> None:
    _write(file, (0, b'bluestore block device\n'))


#: How it is made, and what the refusal calls it.
KINDS: dict[str, tuple[Callable[[pathlib.Path], None], str]] = {
    'mbr': (_mbr, r'a partition table \(dos\)'),
    'gpt': (_gpt, r'a partition table \(gpt\)'),
    'luks': (luks, 'LUKS encryption'),
    'lvm': (_lvm, 'an LVM volume'),
    'raid': (_raid, 'a member of a RAID'),
    'new raid': (_new_raid, 'a member of a RAID'),
    'swap': (_swap, 'swap space'),
    'squashfs': (_squashfs, 'squashfs'),
    'iso9660': (_iso9660, 'iso9660'),
    'bluestore': (_bluestore, 'ceph_bluestore'),
    'text': (_text, 'data of an unknown kind'),
    'archive': (_archive, 'data of an unknown kind'),
    'qcow2': (_qcow2, 'data of an unknown kind'),
    'random': (_random, '(unknown kind|several|a partition table)'),
    'in the middle': (_middle, 'data of an unknown kind'),
    'the last byte': (_end, 'data of an unknown kind'),
    'luks over ext4': (_luks_over_ext4, 'LUKS encryption'),
}


class RefusalCase(base.VolumesTestCase):
    """A test with volumes that are not to be touched."""

    def make_blank(self) -> base.Volume:
        """Return a volume of which every byte is looked at."""
        return self.make_volume(24)

    def assert_refused(self, volume: base.Volume, name: str) -> None:
        """See that a volume is not attached, and not changed."""
        instance = self.make_instance()
        before = volume.digest()
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  instance, volume)
        self.assertRegex(str(error), name)
        self.assertIn(volume.id, str(error))
        self.assertEqual(before, volume.digest())
        self.assert_nothing_left(instance, volume)
