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

"""Volumes of encrypted types: cryptsetup's own work, through os-brick."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from typing import Any
import uuid

import ddt

from nova_docker import errors
from nova_docker.privsep import filesystems
from nova_docker.privsep import unfinished
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.functional.volumes import keys
from nova_docker.tests.kernel import base
from nova_docker.volumes import connector
from nova_docker.volumes import content

_WORDS = b'nobody else may read this'


@ddt.ddt
class EncryptionTestCase(base.KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.keys = self.useFixture(keys.KeyManager())
        self.instance, self.volume = self.start(), self.make_volume()
        self.volume.connection['data']['encrypted'] = True

    @ddt.data('luks', 'luks2')
    def test_a_life(self, provider: str) -> None:
        """Blank, it is encrypted and gets a file system, and both grow."""
        self._attach(provider)
        file = self.host_path(self.instance) / 'file'
        file.write_bytes(_WORDS)
        os.truncate(self.volume.file, 256 * base.MIB)
        volumes.run('losetup', '--set-capacity', self.volume.device)
        self.attached.extend(self.context, self.instance,
                             self.volume.connection)
        figures = os.statvfs(file)
        self.assertGreater(figures.f_blocks * figures.f_frsize,
                           150 * base.MIB)
        self._detach()
        self.assertNotIn(_WORDS, self.volume.file.read_bytes())
        self._attach(provider)
        self.assertEqual(_WORDS.decode(), self.inside(
            self.instance, 'cat', '/volumes/vdb/file'))
        self._detach()

    def test_another_key(self) -> None:
        """Nothing is written, and nothing left."""
        self._attach('luks')
        self._detach()
        before = self.volume.digest()
        self.keys.give(b'K')
        error = self.assertRaises(errors.UnsuitableVolume, self._attach,
                                  'luks')
        self.assertIn('it can not be decrypted', str(error))
        self.assertEqual(before, self.volume.digest())
        self._assert_gone()

    @ddt.data('luks', 'luks2')
    def test_after_an_interrupted_mkfs(self, provider: str) -> None:
        """It had written all but the superblock."""
        made = content.file_system_uuid(self.volume.id)
        with self._decrypted(provider) as device:
            self.assertTrue(filesystems.make(device, 'ext4', made))
            unfinished.begin(device, uuid.UUID(made))
            volumes.run('dd', 'if=/dev/zero', f'of={device}', 'bs=1024',
                        'seek=1', 'count=3', 'conv=notrunc,fsync')
        self._attach(provider)
        self._detach()

    @ddt.data('luks', 'luks2')
    def test_somebody_has_written_to_it(self, provider: str) -> None:
        """It is theirs, whatever they have written."""
        with self._decrypted(provider) as device, open(
                device, 'r+b', buffering=0) as file:
            file.seek(21 * base.MIB)
            file.write(b'x')
        before = self.volume.digest()
        error = self.assertRaises(errors.UnsuitableVolume, self._attach,
                                  provider)
        self.assertIn('data of an unknown kind', str(error))
        self.assertEqual(before, self.volume.digest())
        self._assert_gone()

    @contextlib.contextmanager
    def _decrypted(self, provider: str) -> Iterator[str]:
        """Have what is in the volume as a device."""
        link = f'{self.directory}/link'
        yield connector.decrypt(self.context, link, self.volume.device,
                                self._encryption(provider))
        connector.close(link, self._encryption(provider))

    def _attach(self, provider: str) -> None:
        self.volume.encryption = self._encryption(provider)
        self.attach(self.instance, self.volume)

    @staticmethod
    def _encryption(provider: str) -> dict[str, Any]:
        return {'provider': provider, 'control_location': 'front-end',
                'encryption_key_id': 'key', 'cipher': 'aes-xts-plain64',
                'key_size': 256}

    def _detach(self) -> None:
        self.detach(self.instance, self.volume)
        self._assert_gone()

    def _assert_gone(self) -> None:
        """See that nothing of it is open."""
        self.assert_nothing_left(self.instance, self.volume)
        self.assertEqual('crypto_LUKS', volumes.run(
            'blkid', '--probe', '--output', 'value', '--match-tag', 'TYPE',
            self.volume.device).strip())
        self.assertNotIn('crypt', volumes.run('dmsetup', 'ls'))
