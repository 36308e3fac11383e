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

"""What volumes may hold, and that the rest keeps every byte."""

from __future__ import annotations

from collections.abc import Callable
import gzip
import os
import pathlib
import random
import struct
from unittest import mock
import uuid
import zlib

from castellan.common.objects import symmetric_key
from castellan import key_manager
from castellan.key_manager import key_manager as manager
import ddt
import fixtures

from nova_docker import errors
from nova_docker.privsep import unfinished
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import encryptor
from nova_docker.volumes import content

_MIB = base.MIB


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


def _luks(file: pathlib.Path) -> None:
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
    _luks(file)


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
FOREIGN: dict[str, tuple[Callable[[pathlib.Path], None], str]] = {
    'mbr': (_mbr, r'a partition table \(dos\)'),
    'gpt': (_gpt, r'a partition table \(gpt\)'),
    'luks': (_luks, 'LUKS encryption'),
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


@ddt.ddt
class ForeignTestCase(RefusalCase):
    @ddt.data(*FOREIGN)
    def test_it_is_refused_by_name(self, kind: str) -> None:
        volume = self.make_blank()
        FOREIGN[kind][0](volume.file)
        self.assert_refused(volume, FOREIGN[kind][1])

    @ddt.data(*FOREIGN)
    def test_it_came_after_an_interrupted_mkfs(self, kind: str) -> None:
        """The driver has begun to make a file system, and others went on."""
        volume = self.make_blank()
        unfinished.begin(volume.device, uuid.UUID(
            content.file_system_uuid(volume.id)))
        FOREIGN[kind][0](volume.file)
        self.assert_refused(volume, 'Nothing was written')

    def test_a_copy_of_what_an_interrupted_mkfs_left(self) -> None:
        """Such as a snapshot's: the mark is another volume's."""
        volume = self.make_blank()
        unfinished.begin(volume.device, uuid.uuid4())
        self.assert_refused(volume, 'data of an unknown kind')


@ddt.ddt
class DecryptedTestCase(RefusalCase):
    """What is in a volume that is encrypted."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(encryptor.dm_crypt())

    @ddt.data(*FOREIGN)
    def test_it_is_refused(self, kind: str) -> None:
        volume = self.make_formatted()
        with encryptor.decrypted(volume.device) as file:
            FOREIGN[kind][0](file)
        self.assert_refused(volume, 'Nothing was written')

    @ddt.data(*FOREIGN)
    def test_it_came_after_an_interrupted_mkfs(self, kind: str) -> None:
        volume = self.make_formatted()
        with encryptor.decrypted(volume.device) as file:
            unfinished.begin(str(file), uuid.UUID(
                content.file_system_uuid(volume.id)))
            FOREIGN[kind][0](file)
        self.assert_refused(volume, 'Nothing was written')

    def test_a_life(self) -> None:
        """Blank, it is encrypted and gets a file system, and both grow."""
        self.flags(volume_filesystem='xfs', group='docker')
        volume, instance = self.make_volume(320), self.start()
        volume.encrypt()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        self.extend(instance, volume, 512)
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)
        self.assertEqual([volume.file], [*self.directory.iterdir()])
        self.assertEqual('crypto_LUKS', base.run(
            'blkid', '-p', '-o', 'value', '-s', 'TYPE',
            volume.device).strip())
        self.assertNotIn(b'kept', volume.file.read_bytes())
        self.attach(instance, volume)
        self.assertEqual('kept\n', self.inside(instance, 'cat',
                                               '/volumes/vdb/file'))

    def test_noise_that_looks_like_something(self) -> None:
        key = encryptor.header() + encryptor.KEY[len(encryptor.header()):]
        self.useFixture(fixtures.MockPatchObject(encryptor, 'KEY', key))
        volume, instance = self.make_formatted(), self.make_instance()
        with encryptor.decrypted(volume.device) as file:
            self.assertIn('crypto_LUKS', base.run('blkid', '-p', file))
        self.attach(instance, volume)
        self.detach(instance, volume)

    def make_formatted(self) -> base.Volume:
        """Return an encrypted volume to which nobody has written."""
        volume = self.make_blank()
        volume.encrypt()
        _luks(volume.file)
        return volume


class EncryptedTestCase(base.VolumesTestCase):
    """Volumes of a type with LUKS, through os-brick's own encryptor."""

    def setUp(self) -> None:
        super().setUp()
        keys = self.useFixture(fixtures.MockPatchObject(
            key_manager, 'API', autospec=True)).mock
        keys.return_value = mock.create_autospec(
            manager.KeyManager, instance=True)
        keys.return_value.get.return_value = symmetric_key.SymmetricKey(
            'AES', 256, bytes(32))
        tool = self.directory / 'cryptsetup'
        tool.write_text('#!/bin/sh\n'
                        f'echo "$1" >> {self.directory}/called\n'
                        'test "$1" = isLuks && exit\n'
                        'echo Is the dm_mod kernel module loaded? >&2\n'
                        'exit 1\n')
        tool.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f"{self.directory}:{os.environ['PATH']}"))

    def test_without_dm_crypt(self) -> None:
        volume = self.make_volume()
        _luks(volume.file)
        self.assert_refused(volume, 'can not be decrypted: .*dm_mod')
        self.assertNotIn('luksFormat', self._called())

    def test_it_holds_something_else(self) -> None:
        """os-brick would make it a volume that holds nothing."""
        volume = self.make_volume()
        base.run('mkfs.ext4', '-q', volume.device)
        self.assert_refused(volume, 'not encrypted with LUKS')
        self.assertEqual([], self._called())

    def test_blank_and_read_only(self) -> None:
        volume = self.make_volume()
        volume.connection['data']['access_mode'] = 'ro'
        self.assert_refused(volume, 'not encrypted with LUKS')
        self.assertEqual([], self._called())

    def test_a_blank_one(self) -> None:
        """That is os-brick's to make a header on."""
        self.assert_refused(self.make_volume(), 'can not be decrypted')
        self.assertIn('luksOpen', self._called())

    def _called(self) -> list[str]:
        calls = self.directory / 'called'
        return calls.read_text().split() if calls.exists() else []

    def assert_refused(self, volume: base.Volume, reason: str) -> None:
        """See that a volume is not attached, and not changed."""
        instance, before = self.make_instance(), volume.digest()
        volume.connection['data']['encrypted'] = True
        error = self.assertRaises(
            errors.UnsuitableVolume, self.attachments.attach, self.context,
            instance, volume.connection, '/dev/vdb', {
                'provider': 'luks', 'control_location': 'front-end',
                'encryption_key_id': 'key', 'cipher': 'aes-xts-plain64',
                'key_size': 256})
        self.assertRegex(str(error), reason)
        self.assertEqual(before, volume.digest())
        self.assert_nothing_left(instance, volume)


@ddt.ddt
class FileSystemsTestCase(base.VolumesTestCase):
    @ddt.data('ext2', 'ext3', 'ext4')
    def test_one_that_is_there_is_kept(self, fstype: str) -> None:
        volume, instance = self.make_volume(), self.start()
        base.run(f'mkfs.{fstype}', '-q', '-L', 'mine', volume.device)
        self.attach(instance, volume)
        self.assertEqual('lost+found\n', self.inside(
            instance, 'ls', '/volumes/vdb'))
        self.inside(instance, 'touch', '/volumes/vdb/new')
        self.detach(instance, volume)
        self.assertEqual('mine', base.run(
            'blkid', '-p', '-o', 'value', '-s', 'LABEL',
            volume.device).strip())

    def test_a_blank_one_is_labelled(self) -> None:
        volume, instance = self.make_volume(), self.make_instance()
        self.attach(instance, volume)
        self.detach(instance, volume)
        self.assertEqual('nova-docker', base.run(
            'blkid', '-p', '-o', 'value', '-s', 'LABEL',
            volume.device).strip())
        base.run('fsck.ext4', '-f', '-n', volume.device)

    def test_a_large_blank_one(self) -> None:
        """Not all of it is read."""
        volume, instance = self.make_volume(8192), self.make_instance()
        self.attach(instance, volume)
        self.detach(instance, volume)

    def test_only_what_was_formatted_here(self) -> None:
        volume, clone, instance = (self.make_volume(), self.make_volume(),
                                   self.make_instance())
        self.attach(instance, volume)
        self.detach(instance, volume)
        clone.file.write_bytes(volume.file.read_bytes())
        self.flags(volume_only_formatted_here=True, group='docker')
        self.attach(instance, volume)
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  instance, clone, '/dev/vdc')
        self.assertIn('made elsewhere', str(error))
        self.attach(instance, self.make_volume(), '/dev/vdd')

    def test_read_only(self) -> None:
        volume, instance = self.make_volume(), self.start()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c', 'echo old > /volumes/vdb/file')
        self.detach(instance, volume)
        before = volume.digest()
        volume.connection['data']['access_mode'] = 'ro'
        self.attach(instance, volume)
        self.assertEqual('old\n', self.inside(instance, 'cat',
                                              '/volumes/vdb/file'))
        self.assertIn('Read-only', self.inside(
            instance, 'sh', '-c', 'touch /volumes/vdb/new 2>&1; :'))
        self.detach(instance, volume)
        self.assertEqual(before, volume.digest())

    def test_read_only_by_a_flag_alone(self) -> None:
        """As Cinder tells an ordinary user's request of such a volume."""
        volume, instance = self.make_volume(), self.start()
        base.run('mkfs.ext4', '-q', volume.device)
        before = volume.digest()
        self.assertEqual('rw', volume.connection['data']['access_mode'])
        self.volume_flags = {volume.id: {
            'volume_metadata': {'readonly': 'True'}}}
        self.attach(instance, volume)
        self.assertIn('Read-only', self.inside(
            instance, 'sh', '-c', 'touch /volumes/vdb/new 2>&1; :'))
        # Cinder is not asked again, here or after a reboot of the host.
        self.asked.reset_mock()
        base.run('umount', self.host_path(instance))
        self.attached.ensure(self.context, instance)
        self.asked.assert_not_called()
        self.assertIn('Read-only', self.inside(
            instance, 'sh', '-c', 'touch /volumes/vdb/new 2>&1; :'))
        self.detach(instance, volume)
        self.assertEqual(before, volume.digest())

    def test_for_several_servers_by_a_flag_alone(self) -> None:
        """As Nova's account has it after a move of the volume."""
        volume, instance = self.make_volume(), self.start()
        base.run('mkfs.ext4', '-q', volume.device)
        self.volume_flags = {volume.id: {'multiattach': True}}
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  instance, volume)
        self.assertIn('several servers', str(error))

    def test_blank_and_read_only(self) -> None:
        volume, instance = self.make_volume(), self.make_instance()
        volume.connection['data']['access_mode'] = 'ro'
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  instance, volume)
        self.assertIn('blank, and read-only', str(error))

    def test_several_servers(self) -> None:
        """Only read-only; the last to go disconnects it."""
        volume, first, second = (self.make_volume(), self.start(),
                                 self.start())
        base.run('mkfs.ext4', '-q', volume.device)
        volume.connection['multiattach'] = True
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  first, volume)
        self.assertIn('read-only', str(error))
        volume.connection['data']['access_mode'] = 'ro'
        for instance in (first, second):
            self.attach(instance, volume)
            self.inside(instance, 'ls', '/volumes/vdb/lost+found')
        self.detach(first, volume)
        self.inside(second, 'ls', '/volumes/vdb/lost+found')
        self.detach(second, volume)
        self.assert_nothing_left(second, volume)

    def test_it_grows_while_it_is_used(self) -> None:
        # To grow ext4 takes a privilege that not every root has.
        self.flags(volume_filesystem='xfs', group='docker')
        volume, instance = self.make_volume(320), self.start()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        self.extend(instance, volume, 1024)
        self.assertEqual('kept\n', self.inside(instance, 'cat',
                                               '/volumes/vdb/file'))
