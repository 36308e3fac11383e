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

import os
import uuid

import ddt
import fixtures

from nova_docker import errors
from nova_docker.privsep import filesystems
from nova_docker.privsep import unfinished
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import foreign
from nova_docker.volumes import content


@ddt.ddt
class ForeignTestCase(foreign.RefusalCase):
    @ddt.data(*foreign.KINDS)
    def test_it_is_refused_by_name(self, kind: str) -> None:
        volume = self.make_blank()
        foreign.KINDS[kind][0](volume.file)
        self.assert_refused(volume, foreign.KINDS[kind][1])

    @ddt.data(*foreign.KINDS)
    def test_it_came_after_an_interrupted_mkfs(self, kind: str) -> None:
        """The driver has begun to make a file system, and others went on."""
        volume = self.make_blank()
        unfinished.begin(volume.device, uuid.UUID(
            content.file_system_uuid(volume.id)))
        foreign.KINDS[kind][0](volume.file)
        self.assert_refused(volume, 'Nothing was written')

    def test_a_copy_of_what_an_interrupted_mkfs_left(self) -> None:
        """Such as a snapshot's: the mark is another volume's."""
        volume = self.make_blank()
        unfinished.begin(volume.device, uuid.uuid4())
        self.assert_refused(volume, 'data of an unknown kind')


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


class GrowthTestCase(base.VolumesTestCase):
    """Volumes that were extended while they were attached nowhere."""

    def setUp(self) -> None:
        super().setUp()
        # To grow ext4 takes a privilege that not every root has.
        self.flags(volume_filesystem='xfs', group='docker')
        self.volume, self.instance = self.make_volume(320), self.start()
        self.logged = self.useFixture(fixtures.FakeLogger())
        self.attach(self.instance, self.volume)
        self.inside(self.instance, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        self.detach(self.instance, self.volume)
        os.truncate(self.volume.file, 2048 * base.MIB)
        base.run('losetup', '--set-capacity', self.volume.device)

    def size(self) -> int:
        """Attach it, and return how many MiB its file system has."""
        self.attach(self.instance, self.volume)
        self.assertEqual('kept\n', self.inside(
            self.instance, 'cat', '/volumes/vdb/file'))
        figures = os.statvfs(self.host_path(self.instance))
        return figures.f_blocks * figures.f_frsize // base.MIB

    def test_it_grows_when_it_is_attached(self) -> None:
        self.assertGreater(self.size(), 1900)

    def test_it_can_not_grow(self) -> None:
        """It is attached all the same, and the log says why it is small."""
        tool = self.directory / 'xfs_growfs'
        tool.write_text('#!/bin/sh\necho broken >&2; exit 1\n')
        tool.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{self.directory}:{os.environ["PATH"]}'))
        self.assertLess(self.size(), 320)
        self.assertIn(f'volume {self.volume.id} does not grow: broken',
                      self.logged.output)

    def test_read_only(self) -> None:
        before = self.volume.digest()
        self.volume.connection['data']['access_mode'] = 'ro'
        self.assertLess(self.size(), 320)
        self.assertNotIn('does not grow', self.logged.output)
        self.detach(self.instance, self.volume)
        self.assertEqual(before, self.volume.digest())

    def test_nothing_is_to_be_gained(self) -> None:
        """Neither where the driver leaves something, nor of overhead."""
        made, full = self.make_volume(), self.make_volume()
        self.flags(volume_filesystem='ext4', group='docker')
        base.run('mkfs.ext4', '-q', '-N', '131072', full.device)
        for volume, device, room in ((made, 'vdb', unfinished.TAIL),
                                     (full, 'vdc', 0)):
            self.attach(self.instance, volume, device)
            self.assertEqual(room, filesystems.room(
                'ext4', volume.device,
                str(self.host_path(self.instance, device))))
