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

"""What a volume may hold that is to be a root disk."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
from typing import Any
import uuid

import fixtures

from nova import objects
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import rootfiles
from nova_docker.privsep import unfinished
from nova_docker.rootvolume import layout
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.rootvolume import base
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.volumes import content as volumes_content


class ContentTestCase(base.RootTestCase):
    def refused(self, volume: volumes.Volume) -> str:
        """Return why a server can't be booted from a volume."""
        return str(self.assertRaises(
            errors.UnsuitableVolume, self.boot, volume))

    def from_image(self, content: bytes, **more: Any) -> volumes.Volume:
        """Return a volume that Cinder has made from an image."""
        volume = self.make_volume()
        volumes.run('sync')
        with open(volume.device, 'r+b') as device:
            device.write(content)
        self.volume_flags[volume.id] = {'volume_image_metadata': {
            'image_id': self.image_id, 'size': str(len(content)),
            'checksum': hashlib.md5(content).hexdigest(), **more}}
        return volume

    def test_the_bytes_of_its_image(self) -> None:
        self.use_image()
        instance = self.boot(self.from_image(os.urandom(100_000)))
        self.inside(instance, 'touch', '/mine')

    def test_other_bytes(self) -> None:
        self.use_image()
        volume = self.from_image(os.urandom(100_000), checksum='0' * 32)
        digest = volume.digest()
        self.assertIn('data of an unknown kind', self.refused(volume))
        self.assertEqual(digest, volume.digest())

    def test_bytes_that_another_file_system_is_behind(self) -> None:
        """So is it on a volume that is reimaged."""
        self.use_image()
        volume = self.make_volume()
        self.delete(self.boot(volume))
        content = os.urandom(100_000)
        with open(volume.device, 'r+b') as device:
            device.write(content)
        self.volume_flags[volume.id] = {'volume_image_metadata': {
            'image_id': self.image_id, 'size': str(len(content)),
            'checksum': hashlib.md5(content).hexdigest()}}
        instance = self.boot(volume)
        self.inside(instance, 'touch', '/mine')

    def test_a_replacement_that_was_interrupted(self) -> None:
        self.use_image()
        volume = self.from_image(os.urandom(100_000))
        uuid_ = uuid.UUID(volumes_content.file_system_uuid(volume.id))
        unfinished.begin_instead(volume.device, uuid_)
        with open(volume.device, 'r+b') as device:
            device.write(bytes(50_000))
        instance = self.boot(volume)
        self.inside(instance, 'touch', '/mine')
        self.delete(instance)
        self.assertFalse(unfinished.is_instead(volume.device, uuid_))

    def test_an_unpacking_that_was_interrupted(self) -> None:
        self.use_image()
        volume = self.make_volume()
        instance = self.boot(volume, start=False)
        place = self.place(instance)
        (place / 'nova-docker.json').rename(place / 'nova-docker.unfinished')
        (place / 'root/bin/busybox').unlink()
        (place / 'root/more').symlink_to('/etc')
        self.delete(instance)
        instance = self.boot(volume)
        self.assertNotIn('more', self.inside(instance, 'ls', '/'))

    def test_other_files(self) -> None:
        self.use_image()
        volume = self.make_volume()
        other = self.start()
        self.attach(other, volume)
        self.inside(other, 'touch', '/volumes/vdb/mine')
        self.detach(other, volume)
        self.assertIn('it has files, but no root file system',
                      self.refused(volume))

    def test_too_small(self) -> None:
        self.use_image(functional.Entry('large', os.urandom(9 << 20)))
        self.assertIn('no space left', self.refused(self.make_volume(8)))

    def test_read_only(self) -> None:
        self.use_image()
        volume = self.make_volume()
        self.volume_flags[volume.id] = {
            'volume_metadata': {'readonly': 'True'}}
        self.assertIn('it is read-only', self.refused(volume))

    def test_a_description_that_is_none(self) -> None:
        self.use_image()
        volume = self.make_volume()
        instance = self.boot(volume, start=False)
        (self.place(instance) / 'nova-docker.json').write_text('[]')
        self.delete(instance)
        self.assertIn('it has another format', self.refused(volume))


class MaliceTestCase(base.RootTestCase):
    """A tenant may write anything to a volume, before it is a root disk."""

    def prepared(self, script: str) -> objects.Instance:
        """Return a server whose root file system was changed meanwhile."""
        self.use_image()
        instance = self.boot(self.make_volume(), start=False)
        subprocess.run(['sh', '-ec', script], check=True,
                       cwd=self.place(instance) / 'root')
        return instance

    def failure(self, instance: objects.Instance) -> str:
        """Return why a server does not start; its volume is named."""
        error = self.assertRaises(errors.EngineBadRequest,
                                  self.workloads.start, instance)
        tests.wait_until(lambda: not self.power.is_running(instance),
                         'it has ended')
        record = self.records.root(instance.uuid)
        assert record is not None
        self.assertIn(f'the root volume {record.volume} can not be used: ',
                      str(error))
        return str(error)

    def test_a_root_that_is_a_link(self) -> None:
        """The engine follows it, and so is not told to start anything."""
        instance = self.prepared('cd ..; mv root other; ln -s /etc root')
        self.assertIn('no root file system any more', self.failure(instance))
        self.assertEqual('created', self.state(instance)['Status'])

    def test_kernel_files_that_are_links(self) -> None:
        for place in ('proc', 'sys', 'dev'):
            instance = self.prepared(f'rm -r {place}; ln -s /tmp {place}')
            self.assertIn(f'/{place}', self.failure(instance))

    def test_a_file_that_would_lie_on_the_kernels(self) -> None:
        instance = self.prepared(
            'rm etc/hosts; ln -s /proc/self/attr/exec etc/hosts')
        self.assertIn('/etc/hosts', self.failure(instance))

    def test_links_that_lead_out(self) -> None:
        """They lead nowhere else than they would in the server."""
        outside = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        instance = self.prepared(
            'rm etc/resolv.conf; '
            f'ln -s ../../../../../..{outside}/file etc/resolv.conf; '
            f'ln -s {outside}/other srv')
        self.workloads.start(instance)
        self.assertEqual([], list(outside.iterdir()))
        self.assertIn(f' {outside}/file ', self.inside(
            instance, 'cat', '/proc/self/mountinfo'))
        self.assertRaises(errors.EngineNotFound, self.contents.stat,
                          names.workload(instance.uuid), '/srv')

    def test_accounts_elsewhere(self) -> None:
        instance = self.prepared('ln -sf ../../../../../../etc/shadow '
                                 'etc/passwd')
        source = layout.source(self.engine.container(
            names.workload(instance.uuid)))
        assert source is not None
        self.assertIsNone(rootfiles.read(source, '/etc/passwd', 1 << 20))

    def test_a_pipe_is_not_waited_for(self) -> None:
        instance = self.prepared('rm etc/passwd; mkfifo etc/passwd')
        root = self.workloads.root(instance)
        assert root is not None
        self.assertEqual('', root.passwd)
