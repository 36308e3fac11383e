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

"""Volumes that are encrypted, and what is in them."""

from __future__ import annotations

import os
import uuid

import ddt
import fixtures

from nova_docker import errors
from nova_docker.privsep import unfinished
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import encryptor
from nova_docker.tests.functional.volumes import foreign
from nova_docker.tests.functional.volumes import keys
from nova_docker.volumes import content


@ddt.ddt
class DecryptedTestCase(foreign.RefusalCase):
    """What is in a volume that is encrypted."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(encryptor.dm_crypt())

    @ddt.data(*foreign.KINDS)
    def test_it_is_refused(self, kind: str) -> None:
        volume = self.make_formatted()
        with encryptor.decrypted(volume.device) as file:
            foreign.KINDS[kind][0](file)
        self.assert_refused(volume, 'Nothing was written')

    @ddt.data(*foreign.KINDS)
    def test_it_came_after_an_interrupted_mkfs(self, kind: str) -> None:
        volume = self.make_formatted()
        with encryptor.decrypted(volume.device) as file:
            unfinished.begin(str(file), uuid.UUID(
                content.file_system_uuid(volume.id)))
            foreign.KINDS[kind][0](file)
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
        foreign.luks(volume.file)
        return volume


class EncryptedTestCase(base.VolumesTestCase):
    """Volumes of a type with LUKS, through os-brick's own encryptor."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(keys.KeyManager())
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
        foreign.luks(volume.file)
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
