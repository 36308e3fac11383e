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

"""Volumes that move to other storage under running workloads."""

from __future__ import annotations

import dataclasses
import os
import secrets
from unittest import mock

import ddt
import fixtures

from nova import exception
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import holders
from nova_docker.privsep import mounttable
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import records


class MoveCase(base.VolumesTestCase):
    """A server with data on a volume, and another volume."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(volume_detach_timeout=tests.PATIENCE, group='docker')
        self.instance = self.start()
        self.old = self.make_volume()
        self.new = self.make_volume()

    def fill(self) -> str:
        """Write something, and return its digest."""
        (self.host_path(self.instance) / 'data').write_text(
            secrets.token_hex(base.MIB))
        return self.data()

    def data(self) -> str:
        """Return the digest of what the server reads."""
        return self.file_digest(self.instance, '/volumes/vdb/data')

    def move(self, new: base.Volume | None = None) -> None:
        """Move it, as Nova does when Cinder asks."""
        self.moves(self.instance, self.old.connection,
                   (new or self.new).connection)

    def record(self) -> records.Record:
        found = self.records.find(self.instance.uuid, self.old.id)
        assert found is not None
        return found

    def mounted(self) -> mounttable.Mount:
        """Return what the server has."""
        found = mounttable.find(str(self.host_path(self.instance)))
        assert found is not None
        return found

    def assert_at(self, volume: base.Volume, data: str) -> None:
        """See where it is, that it is whole, and can be written to."""
        self.assertEqual(volume.device, self.mounted().source)
        self.assertEqual(data, self.data())
        self.inside(self.instance, 'sh', '-c',
                    'echo more > /volumes/vdb/more; sync; '
                    'rm /volumes/vdb/more')
        self.assertEqual((records.State.ATTACHED, {}, volume.device), (
            self.record().state, self.record().other, self.record().path))
        other = self.old if volume is self.new else self.new
        self.assertFalse(other.is_open())


@ddt.ddt
class MoveTestCase(MoveCase):
    @ddt.data(('ext4', 64), ('xfs', 320))
    @ddt.unpack
    def test_each_file_system(self, fstype: str, size: int) -> None:
        self.old, self.new = (self.make_volume(size), self.make_volume(size))
        base.run(f'mkfs.{fstype}', '-q', self.old.device)
        self.attach(self.instance, self.old)
        data = self.fill()
        before = self.mounted().options
        self.move()
        self.assert_at(self.new, data)
        self.assertEqual(before, self.mounted().options)
        # Nova and Cinder give the new one the old one's id.
        self.detach(self.instance, self.old)
        self.assert_nothing_left(self.instance, self.old, self.new)
        base.run('fsck', '-n', '-t', fstype, self.new.device)

    def test_the_content_is_the_same_to_the_byte(self) -> None:
        """Also where the new one held something else."""
        self.new.file.write_bytes(os.urandom(64 * base.MIB))
        self.attach(self.instance, self.old)
        self.fill()
        real, seen = blocks.copy, []

        def copy(source: str, target: str) -> bool:
            try:
                return real(source, target)
            finally:
                seen.append((self.old.digest(), self.new.digest()))

        with mock.patch.object(blocks, 'copy', copy):
            self.move()
        [(old, new)] = seen
        self.assertEqual(old, new)

    def test_a_larger_one(self) -> None:
        # Not every machine's root may grow ext4.
        self.flags(volume_filesystem='xfs', group='docker')
        self.old, larger = self.make_volume(320), self.make_volume(400)
        self.attach(self.instance, self.old)
        data = self.fill()
        self.move(larger)
        self.new = larger
        self.assert_at(larger, data)
        figures = os.statvfs(self.host_path(self.instance))
        self.assertGreater(figures.f_blocks * figures.f_frsize,
                           330 * base.MIB)

    def test_holes_stay_holes(self) -> None:
        self.attach(self.instance, self.old)
        self.move()
        self.assertLess(self.new.file.stat().st_blocks * 512, 16 * base.MIB)

    def test_a_read_only_one(self) -> None:
        base.run('mkfs.ext4', '-q', self.old.device)
        before = self.old.digest()
        self.volume_flags = {self.old.id: {
            'volume_metadata': {'readonly': 'True'}}}
        self.attach(self.instance, self.old)
        self.move()
        self.assertEqual(self.new.device, self.mounted().source)
        self.assertIn('Read-only', self.inside(
            self.instance, 'sh', '-c', 'touch /volumes/vdb/new 2>&1; :'))
        self.detach(self.instance, self.old)
        self.assertEqual(before, self.new.digest())

    def test_again_and_back(self) -> None:
        self.attach(self.instance, self.old)
        data = self.fill()
        self.move()
        self.moves(self.instance, self.record().connection, {
            **self.old.connection, 'serial': 'of the second move'})
        self.assert_at(self.old, data)

    def test_after_a_restart_of_the_server(self) -> None:
        """It is where it has moved to, also by Nova's account of it."""
        self.attach(self.instance, self.old)
        data = self.fill()
        self.move()
        self.engine.stop(names.workload(self.instance.uuid), 0)
        base.run('umount', self.host_path(self.instance))
        self.attached.ensure(self.context, self.instance, {
            'block_device_mapping': [{
                'connection_info': {**self.new.connection,
                                    'serial': self.old.id},
                'mount_device': '/dev/vdb'}]})
        self.engine.start(names.workload(self.instance.uuid))
        self.assert_at(self.new, data)

    def test_readers_go_on_while_it_is_copied(self) -> None:
        """And writers hear that they can not."""
        self.attach(self.instance, self.old)
        data, real = self.fill(), blocks.copy

        def copy(source: str, target: str) -> bool:
            self.assertEqual(data, self.data())
            self.assertIn('Read-only', self.inside(
                self.instance, 'sh', '-c', 'touch /volumes/vdb/new 2>&1; :'))
            return real(source, target)

        with mock.patch.object(blocks, 'copy', copy):
            self.move()
        self.assert_at(self.new, data)


class RefusedTestCase(MoveCase):
    """It stays where it was."""

    def setUp(self) -> None:
        super().setUp()
        self.attach(self.instance, self.old)
        self.before = self.fill()

    def assert_refused(self, kind: type[Exception], words: str) -> None:
        error = self.assertRaises(kind, self.move)
        self.assertRegex(str(error), words)
        self.assert_at(self.old, self.before)

    def test_an_open_file(self) -> None:
        self.flags(volume_detach_timeout=1, group='docker')
        self.inside(self.instance, 'sh', '-c',
                    '(exec 3> /volumes/vdb/open; sleep 1000) >/dev/null & :')
        tests.wait_until(
            (self.host_path(self.instance) / 'open').exists, 'it is open')
        before = self.new.digest()
        self.assert_refused(exception.DeviceDetachFailed,
                            r'/volumes/vdb.*\w+ \(pid [0-9]+\)')
        self.assertEqual(before, self.new.digest())

    def test_a_file_that_is_opened_meanwhile(self) -> None:
        self.flags(volume_detach_timeout=1, group='docker')
        real = blocks.copy

        def copy(source: str, target: str) -> bool:
            self.inside(self.instance, 'sh', '-c',
                        'sleep 1000 < /volumes/vdb/data >/dev/null & :')
            tests.wait_until(self._is_read, 'it is open')
            return real(source, target)

        with mock.patch.object(blocks, 'copy', copy):
            self.assert_refused(exception.DeviceDetachFailed, 'pid')

    def _is_read(self) -> bool:
        return bool(holders.holders(str(self.host_path(self.instance))))

    def test_a_smaller_one(self) -> None:
        self.new = self.make_volume(32)
        self.assert_refused(exception.InvalidVolume, 'room')

    def test_a_new_one_that_can_not_be_connected(self) -> None:
        self.new.connection['data']['device_path'] = '/dev/none'
        self.assert_refused(Exception, '/dev/none')

    def test_a_copy_that_fails(self) -> None:
        self.useFixture(fixtures.MockPatchObject(
            blocks, 'copy', autospec=True, side_effect=OSError('broken')))
        self.assert_refused(exception.InvalidVolume, 'broken')

    def test_a_copy_that_can_not_be_mounted(self) -> None:
        """The old one can be written to again, by the new one's failure."""
        self.useFixture(fixtures.MockPatchObject(
            blocks, 'copy', autospec=True, return_value=False))
        base.run('mkswap', self.new.device)
        self.assert_refused(Exception, 'swap')

    def test_an_encrypted_one(self) -> None:
        self.new.connection['data']['encrypted'] = True
        self.assert_refused(exception.InvalidVolume, 'encrypted')

    def test_one_that_others_have(self) -> None:
        self.records.save(dataclasses.replace(
            self.record(), instance=self.make_instance().uuid))
        self.assert_refused(exception.InvalidVolume, 'other servers')

    def test_one_that_is_not_there(self) -> None:
        other = self.make_volume()
        error = self.assertRaises(
            exception.InvalidVolume, self.moves, self.instance,
            other.connection, self.new.connection)
        self.assertIn('does not have it', str(error))
