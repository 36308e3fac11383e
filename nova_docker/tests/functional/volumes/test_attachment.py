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

"""Volumes on running workloads: attached, written to, detached."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import uuid

from nova.network import model

from nova import exception
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import connector
from nova_docker.volumes import records
from nova_docker.volumes import usage


class AttachmentTestCase(base.VolumesTestCase):
    def test_a_life(self) -> None:
        """Blank, it gets a file system; what is written stays on it."""
        first, volume = self.start(), self.make_volume()
        for _again in range(2):
            self.attach(first, volume)
        self.assertEqual('', self.inside(first, 'ls', '/volumes/vdb'))
        self.inside(first, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        for _again in range(2):
            self.detach(first, volume)
        self.assertEqual('', self.inside(first, 'ls', '/volumes'))
        self.assert_nothing_left(first, volume)
        second = self.start()
        self.attach(second, volume, '/dev/vdc')
        self.assertEqual('kept\n', self.inside(
            second, 'cat', '/volumes/vdc/file'))

    def test_a_process_that_runs_already_sees_it(self) -> None:
        instance = self.start(
            'while :; do if echo there > /volumes/vdb/file; then '
            'cat /volumes/vdb/file; exit; fi; sleep 0.1; done 2>/dev/null')
        self.attach(instance, self.make_volume())
        self.wait_for_log(instance, 'there')

    def test_before_the_first_instruction(self) -> None:
        instance = self.create_workload('echo hello > /volumes/vdb/file; '
                                        'cat /volumes/vdb/file')
        self.attach(instance, self.make_volume())
        self.engine.start(names.workload(instance.uuid))
        self.wait_for_end(instance)
        self.assertEqual('hello', self.log(instance).strip())

    def test_a_tag_is_its_name(self) -> None:
        instance, volume, other = (self.start(), self.make_volume(),
                                   self.make_volume())
        self.volume_tags = {volume.id: 'data', other.id: 'no/name'}
        self.attach(instance, volume, '/dev/vdb')
        self.attach(instance, other, '/dev/vdc')
        self.assertEqual('data\nvdc\n', self.inside(
            instance, 'ls', '/volumes'))

    def test_two_of_one_name(self) -> None:
        instance, volume, other = (self.start(), self.make_volume(),
                                   self.make_volume())
        self.volume_tags = {other.id: 'vdb'}
        self.attach(instance, volume, '/dev/vdb')
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  instance, other, '/dev/vdc')
        self.assertIn('/volumes/vdb', str(error))
        self.assertIsNone(self.records.find(instance.uuid, other.id))

    def test_neither_devices_nor_privileges(self) -> None:
        instance = self.start()
        self.attach(instance, self.make_volume())
        shown = base.run('findmnt', '-no', 'OPTIONS',
                         self.host_path(instance)).strip().split(',')
        self.assertLessEqual({'nosuid', 'nodev'}, set(shown))

    def test_an_operator_may_allow_more(self) -> None:
        self.flags(volume_mount_options='noatime', group='docker')
        instance = self.start()
        self.attach(instance, self.make_volume())
        shown = base.run('findmnt', '-no', 'OPTIONS',
                         self.host_path(instance)).strip().split(',')
        self.assertIn('noatime', shown)
        self.assertNotIn('nodev', shown)

    def test_it_outlives_the_container(self) -> None:
        instance = self.create_workload(
            'echo again >> /volumes/vdb/log; cat /volumes/vdb/log')
        self.attach(instance, self.make_volume())
        power = self.make_power()
        for count in (1, 2):
            power.on(instance, model.NetworkInfo())
            self.wait_for_end(instance)
            self.assertEqual(count + count - 1,
                             self.log(instance).count('again'))

    def test_destroy_leaves_nothing_and_takes_nothing(self) -> None:
        instance, volume = self.start(
            'exec 3> /volumes/vdb/open; echo kept >&3; echo done; sleep 1000'
        ), self.make_volume()
        self.engine.stop(names.workload(instance.uuid), 0)
        self.attach(instance, volume)
        self.engine.start(names.workload(instance.uuid))
        self.wait_for_log(instance, 'done')
        undo = self.make_destroy()
        for _again in range(2):
            undo(instance, model.NetworkInfo())
        self.assert_nothing_left(instance, volume)
        self.assertFalse(self.host_path(instance).parents[1].exists())
        other = self.start()
        self.attach(other, volume)
        self.assertEqual('kept\n', self.inside(other, 'cat',
                                               '/volumes/vdb/open'))

    def test_by_another_name(self) -> None:
        """A former attempt left it mounted, and its record."""
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        record = self.records.find(instance.uuid, volume.id)
        assert record is not None
        self.records.save(dataclasses.replace(
            record, state=records.State.ATTACHING))
        self.attach(instance, volume, '/dev/vdc')
        self.assertEqual('vdc\n', self.inside(instance, 'ls', '/volumes'))
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def test_how_much_it_is_used(self) -> None:
        instance, volume = self.start(), self.make_volume()
        figures = usage.Usage(self.records)
        self.attach(instance, volume)
        before = figures.of_device(instance, 'vdb')
        assert before is not None
        _reads, _read, writes, written, errs = before
        self.inside(instance, 'dd', 'if=/dev/zero', 'of=/volumes/vdb/file',
                    'bs=1M', 'count=4')
        self.inside(instance, 'sync')
        [found] = figures.all([{'instance': instance, 'instance_bdms': []}])
        self.assertEqual((volume.id, instance, 0),
                         (found['volume'], found['instance'], errs))
        self.assertGreater(found['wr_req'], writes)
        self.assertGreaterEqual(found['wr_bytes'] - written, 4 * base.MIB)
        self.detach(instance, volume)
        self.assertEqual([], figures.all([{'instance': instance}]))
        self.assertIsNone(figures.of_device(instance, 'vdb'))

    def test_a_file_on_a_share(self) -> None:
        """Of NFS, which os-brick finds mounted, as for another volume."""
        instance, file = self.start(), self.directory / 'volume'
        with file.open('wb') as content:
            content.truncate(64 * base.MIB)
        export = 'storage.example:/volumes'
        self._mount_at(pathlib.Path(CONF.state_path, 'mnt', hashlib.md5(
            export.encode(), usedforsecurity=False).hexdigest()))
        connection = {'driver_volume_type': 'nfs',
                      'serial': str(uuid.uuid4()),
                      'data': {'export': export, 'name': 'volume'}}
        self.attachments.attach(self.context, instance, connection, 'vdb')
        self.inside(instance, 'touch', '/volumes/vdb/file')
        self.assertIsNone(usage.Usage(self.records).of_device(
            instance, 'vdb'))
        self.attachments.detach(instance, connection)
        # The kernel keeps it for as long as any other looks at it.
        tests.wait_until(lambda: not base.run('losetup', '-j', file),
                         'its device is gone')
        self.assert_nothing_left(instance)

    def _mount_at(self, share: pathlib.Path) -> None:
        """Let the test's directory be what is mounted somewhere."""
        share.mkdir(parents=True)
        base.run('mount', '--bind', self.directory, share)
        self.addCleanup(base.run, 'umount', share)

    def test_what_cinder_is_told_of_this_host(self) -> None:
        self.flags(my_block_storage_ip='192.0.2.1', host='here')
        found = connector.properties()
        self.assertEqual(('192.0.2.1', 'here', False), (
            found['ip'], found['host'], found['multipath']))

    def test_an_unknown_way_to_connect(self) -> None:
        instance, volume = self.start(), self.make_volume()
        volume.connection['driver_volume_type'] = 'pigeon'
        error = self.assertRaises(exception.InvalidVolume, self.attach,
                                  instance, volume)
        self.assertIn('pigeon', str(error))
        self.assert_nothing_left(instance, volume)


class FixedTestCase(base.VolumesTestCase):
    """Volumes at places of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.volume = self.make_volume()
        self.volume_tags = {self.volume.id: 'data'}

    def test_at_boot(self) -> None:
        instance = self.make_instance(metadata={
            'docker:command': "/bin/sh -c 'echo seen > /srv/db/file; "
                              "cat /volumes/data/file; sleep 1000'",
            'docker:volume:data': '/srv/db'})
        self.boxes.ensure(instance, [], [])
        self.attach(instance, self.volume)
        self.create_container(instance)
        power = self.make_power()
        power.on(instance, model.NetworkInfo())
        self.wait_for_log(instance, 'seen')
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach,
                                  instance, self.volume)
        self.assertIn('/srv/db', str(error))
        self.engine.stop(names.workload(instance.uuid), 0)
        self.detach(instance, self.volume)
        error = self.assertRaises(exception.InstancePowerOnFailure, power.on,
                                  instance, model.NetworkInfo())
        self.assertIn("tag 'data'", str(error))
        self.attach(instance, self.volume)
        power.on(instance, model.NetworkInfo())

    def test_without_its_volume(self) -> None:
        instance = self.make_instance(metadata={
            'docker:volume:data': '/srv/db'})
        self.boxes.ensure(instance, [], [])
        error = self.assertRaises(errors.BadSetting, self.create_container,
                                  instance)
        self.assertIn('docker:volume:data', str(error))

    def test_an_image_only_proposes(self) -> None:
        instance = self.make_instance(system_metadata={
            'image_docker_volume_data': '/srv/db'})
        self.boxes.ensure(instance, [], [])
        self.create_container(instance)

    def test_an_images_proposal_counts_if_there_is_the_volume(self) -> None:
        instance = self.make_instance(
            metadata={'docker:command': "/bin/sh -c 'sleep 1000'"},
            system_metadata={'image_docker_volume_data': '/srv/db'})
        self.boxes.ensure(instance, [], [])
        self.attach(instance, self.volume)
        self.create_container(instance)
        self.engine.start(names.workload(instance.uuid))
        self.inside(instance, 'touch', '/srv/db/file')
        self.inside(instance, 'stat', '/volumes/data/file')


class RecoverTestCase(base.VolumesTestCase):
    """nova-compute was killed, and is started again."""

    def test_every_state(self) -> None:
        for state, is_kept in (('attaching', False), ('attached', True),
                               ('detaching', False)):
            with self.subTest(state=state):
                instance, volume = self.start(), self.make_volume()
                self.attach(instance, volume)
                record = self.records.find(instance.uuid, volume.id)
                assert record is not None
                self.records.save(dataclasses.replace(
                    record, state=type(record.state)(state)))
                if state == 'detaching':
                    base.run('umount', self.host_path(instance))
                self.attached.prepare()
                self.assertEqual(is_kept, volume.is_open())
                self.attach(instance, volume)
                self.inside(instance, 'touch', '/volumes/vdb/file')
                self.detach(instance, volume)
                self.assert_nothing_left(instance, volume)
