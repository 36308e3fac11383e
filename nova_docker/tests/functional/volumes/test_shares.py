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

"""Shares in running workloads, with a file system of this machine."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Any
import uuid

import fixtures
from nova.network import model
from nova.objects import share_mapping

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.instances import configdrive
from nova_docker import names
from nova_docker.privsep import mounttable
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.volumes import propagate
from nova_docker.volumes import shares

_SHOW = ('while :; do if [ -e /shares/data/end ]; then exit; fi; '
         'for f in /shares/data/*; do echo "$f"; done; sleep 0.1; done')


class SharesTestCase(base.EngineTestCase):
    """There is no server of NFS: the share is ext4 in a file."""

    def setUp(self) -> None:
        super().setUp()
        self.shares = shares.Shares(self.points)
        self.disk = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'disk')
        with self.disk.open('wb') as file:
            file.truncate(8 << 20)
        subprocess.run(['mkfs.ext4', '-q', self.disk], check=True,
                       capture_output=True)
        self.useFixture(fixtures.MonkeyPatch(
            'nova_docker.volumes.shares.PROTOCOLS',
            {'NFS': lambda share: ('ext4', share.export_location,
                                   ['loop'])}))

    def make_share(self, instance: objects.Instance,
                   **fields: Any) -> objects.ShareMapping:
        return objects.ShareMapping(**{
            'instance_uuid': instance.uuid, 'share_id': str(uuid.uuid4()),
            'tag': 'data', 'export_location': str(self.disk),
            'share_proto': 'NFS', **fields})

    def create_workload(self, script: str,
                        image: str | None = None) -> objects.Instance:
        instance = self.make_instance(metadata={
            'docker:command': f"/bin/sh -c '{script}'"})
        self.boxes.ensure(instance, [], [])
        self.workloads.create(instance, image or self.make_image(),
                              configdrive.Details(model.NetworkInfo()))
        return instance

    def host_path(self, instance: objects.Instance) -> pathlib.Path:
        return pathlib.Path(CONF.docker.mounts_path, instance.uuid)

    def test_mounted_before_the_start(self) -> None:
        instance = self.create_workload(
            'echo hello > /shares/data/new && cat /shares/data/new')
        share = self.make_share(instance)
        for _again in range(2):
            self.shares.mount(share)
        self.engine.start(names.workload(instance.uuid))
        self.wait_for_end(instance)
        self.assertEqual('hello', self.log(instance).strip())
        self.assertFalse(self.shares.unmount(share))

    def test_mounted_while_it_runs(self) -> None:
        """It appears, and goes, in the running workload."""
        instance = self.create_workload(_SHOW)
        self.engine.start(names.workload(instance.uuid))
        share = self.make_share(instance)
        self.shares.mount(share)
        self.wait_for_log(instance, '/shares/data/lost+found')
        self.shares.unmount(share)
        self.wait_for_log(instance, '/shares/data/*')
        self.assertEqual([], os.listdir(self.host_path(instance) / 'shares'))

    def test_it_survives_a_restart(self) -> None:
        instance = self.create_workload(
            'echo again >> /shares/data/log; cat /shares/data/log')
        self.shares.mount(self.make_share(instance))
        for count in (1, 2):
            self.engine.start(names.workload(instance.uuid))
            self.wait_for_end(instance)
            self.assertEqual(count + count - 1,
                             self.log(instance).count('again'))

    def test_the_hosts_own_directory_is_no_place_for_files(self) -> None:
        instance = self.create_workload(
            'touch /shares/x; touch /volumes/x; mkdir /shares/data')
        self.engine.start(names.workload(instance.uuid))
        self.wait_for_end(instance)
        self.assertEqual(3, self.log(instance).count('Read-only'))

    def test_neither_devices_nor_privileges(self) -> None:
        instance = self.make_instance()
        self.shares.mount(self.make_share(instance))
        point = f'{self.host_path(instance)}/shares/data'
        shown = subprocess.run(
            ['findmnt', '-no', 'OPTIONS', point], check=True,
            capture_output=True, text=True).stdout.split(',')
        self.assertLessEqual({'nosuid', 'nodev'}, set(shown))
        self.shares.unmount(self.make_share(instance))

    def test_a_directory_of_this_host(self) -> None:
        """It is bound, which NFS of a host to itself needs no kernel for."""
        exported = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path).resolve()
        (exported / 'share').mkdir()
        (exported / 'share/go').touch()
        (exported / 'link').symlink_to('/etc')
        self.useFixture(fixtures.MonkeyPatch(
            'nova_docker.volumes.shares.PROTOCOLS', {'NFS': shares._nfs}))
        CONF.set_override('local_exports', [f'srv:{exported}'], 'docker')
        self.addCleanup(CONF.clear_override, 'local_exports', 'docker')
        instance = self.create_workload(
            'until [ -e /shares/data/go ]; do sleep 0.1; done; '
            'echo hello > /shares/data/new; grep /shares/data /proc/mounts')
        self.engine.start(names.workload(instance.uuid))
        self.assertRaises(
            exception.ShareMountError, self.shares.mount,
            self.make_share(instance, export_location=f'srv:{exported}/link'))
        share = self.make_share(instance,
                                export_location=f'srv:{exported}/share')
        self.shares.mount(share)
        self.wait_for_end(instance)
        self.assertEqual('hello\n', (exported / 'share/new').read_text())
        self.assertRegex(self.log(instance), 'nosuid.*nodev')
        self.shares.unmount(share)

    def test_destroy_leaves_nothing(self) -> None:
        instance = self.create_workload('sleep 1000')
        share = self.make_share(instance)
        self.shares.mount(share)
        self.engine.start(names.workload(instance.uuid))
        undo = self.make_destroy()
        for _again in range(2):
            undo(instance, model.NetworkInfo())
        self.assertFalse(self.host_path(instance).exists())
        self.assertEqual([], mounttable.below(str(self.host_path(instance))))
        # Nova does this afterwards.
        self.shares.unmount(share)
        tests.wait_until(lambda: not subprocess.run(
            ['losetup', '--noheadings', '-j', self.disk], check=True,
            capture_output=True).stdout, 'the device is let go')

    def test_destroy_where_everything_is_shared(self) -> None:
        """As systemd has /: no mount has a second entry for that."""
        parent = os.path.dirname(CONF.docker.mounts_path)
        subprocess.run(['mount', '--bind', parent, parent], check=True)
        self.addCleanup(subprocess.run, ['umount', '--recursive', parent],
                        check=True)
        # It is no peer of a / that is shared already.
        subprocess.run(['mount', '--make-private', parent], check=True)
        subprocess.run(['mount', '--make-shared', parent], check=True)
        instance = self.make_instance()
        self.shares.mount(self.make_share(instance))
        directory = str(self.host_path(instance))
        self.assertEqual(1, len(mounttable.below(directory)))
        self.points.remove(instance.uuid)
        self.assertEqual([], mounttable.below(directory))
        self.assertFalse(self.host_path(instance).exists())

    def test_what_is_on_it_stays(self) -> None:
        instance = self.create_workload('echo kept > /shares/data/file')
        self.shares.mount(self.make_share(instance))
        self.engine.start(names.workload(instance.uuid))
        self.wait_for_end(instance)
        self.make_destroy()(instance, model.NetworkInfo())
        other = self.create_workload('cat /shares/data/file')
        self.shares.mount(self.make_share(other))
        self.engine.start(names.workload(other.uuid))
        self.wait_for_end(other)
        self.assertEqual('kept', self.log(other).strip())

    def test_what_can_not_be_mounted(self) -> None:
        instance = self.make_instance()
        error = self.assertRaises(
            exception.ShareMountError, self.shares.mount,
            self.make_share(instance, export_location='/nonexistent'))
        self.assertIn('/nonexistent', str(error))
        self.assertEqual([], os.listdir(self.host_path(instance) / 'shares'))
        for tag in ('..', 'a/b', '', '-x'):
            self.assertRaises(exception.ShareMountError, self.shares.mount,
                              self.make_share(instance, tag=tag))

    def test_one_that_is_used_is_not_unmounted(self) -> None:
        instance = self.create_workload(
            'exec 3> /shares/data/open; sleep 1000')
        share = self.make_share(instance)
        self.shares.mount(share)
        self.engine.start(names.workload(instance.uuid))
        opened = self.host_path(instance) / 'shares/data/open'
        tests.wait_until(opened.exists, 'the file is open')
        self.assertRaises(exception.ShareUmountError, self.shares.unmount,
                          share)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.shares.unmount(share)

    def test_is_it_mounted_here(self) -> None:
        instance, other = self.make_instance(), self.make_instance()
        share = self.make_share(instance)
        asked = self.make_share(other, share_id=share.share_id, tag='mine')
        self.useFixture(fixtures.MockPatchObject(
            share_mapping.ShareMappingList, 'get_by_share_id', autospec=True,
            return_value=share_mapping.ShareMappingList(
                objects=[asked, share])))
        self.assertFalse(self.shares.is_mounted(asked))
        self.shares.mount(share)
        self.assertTrue(self.shares.is_mounted(asked))
        self.shares.unmount(share)

    def test_after_a_reboot_of_the_host(self) -> None:
        instance = self.create_workload('true')
        root = CONF.docker.mounts_path
        subprocess.run(['umount', root], check=True)
        for _again in range(2):
            propagate.Propagation(root).prepare()
        found = mounttable.find(root)
        self.assertTrue(found and found.shared)
        self.engine.start(names.workload(instance.uuid))
        self.assertEqual(0, self.wait_for_end(instance))
