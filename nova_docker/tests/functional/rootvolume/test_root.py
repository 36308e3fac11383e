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

"""A server's root disk as a volume, on a real engine."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
from typing import Any
from unittest import mock
import uuid

import fixtures
from nova.network import model

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import files
from nova_docker.instances import password
from nova_docker.instances import rescue
from nova_docker.instances import rootdisk
from nova_docker import names
from nova_docker import privsep
from nova_docker.privsep import rootfiles
from nova_docker.privsep import unfinished
from nova_docker.rootvolume import layout
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.volumes import content as volumes_content
from nova_docker.volumes import propagate

KEY = 'ssh-ed25519 AAAAC3 me'
#: CAP_NET_RAW, permitted and effective, as the kernel keeps it.
_NET_RAW = bytes.fromhex('0100000200200000000000000000000000000000').decode(
    'utf-8', 'surrogateescape')


class RootTestCase(volumes.VolumesTestCase):
    """A test with an image and a volume that is to be a root disk."""

    def setUp(self) -> None:
        super().setUp()
        self.image_id = str(uuid.uuid4())
        self.power = self.make_power()

    def use_image(self, *entries: base.Entry,
                  changes: tuple[str, ...] = ('CMD ["/bin/sh"]',)) -> None:
        """Have an image in Glance, which the engine has as well."""
        made = self.make_image(*entries, changes=changes)
        reference = names.image_reference(self.image_id)
        self.engine.tag_image(made, reference)
        self._images.append(reference)
        self.image_api.get.return_value = {
            'id': self.image_id, 'container_format': 'bare',
            'disk_format': 'raw', 'properties': {}}

    def boot(self, volume: volumes.Volume, *command: str, start: bool = True,
             given: tuple[tuple[str, bytes], ...] = (),
             **fields: Any) -> objects.Instance:
        """Boot a server from a volume."""
        instance = self.make_instance(**fields)
        if command:
            instance.metadata['docker:command'] = json.dumps(command)
        self.boxes.ensure(instance, [], [])
        self.addCleanup(self.roots.discard, instance.uuid)
        self.attachments.attach(self.context, instance, volume.connection,
                                '/dev/vda', root=True)
        self.roots.prepare(self.context, instance,
                           objects.ImageMeta(id=self.image_id))
        self.workloads.create(
            instance, names.GATE_IMAGE,
            configdrive.Details(model.NetworkInfo(), given),
            root=self.workloads.root(instance))
        if start:
            self.workloads.start(instance)
        return instance

    def delete(self, instance: objects.Instance) -> None:
        """Delete a server, but not its volume."""
        self.make_destroy()(instance, model.NetworkInfo())

    def place(self, instance: objects.Instance) -> pathlib.Path:
        """Return where the root volume of an instance is on the host."""
        return pathlib.Path(CONF.docker.mounts_path, instance.uuid, 'root',
                            'vda')


class LifeTestCase(RootTestCase):
    def test_its_data_outlives_the_server(self) -> None:
        self.use_image()
        volume = self.make_volume()
        first = self.boot(volume)
        self.inside(first, 'sh', '-c', 'mkdir /data && echo mine >/data/file')
        self.delete(first)
        self.assertFalse(volume.is_open())
        second = self.boot(volume)
        self.assertEqual('mine\n', self.inside(second, 'cat', '/data/file'))

    def test_it_is_all_that_the_server_has(self) -> None:
        self.use_image()
        instance = self.boot(self.make_volume())
        self.assertEqual(
            {'.dockerenv', 'bin', 'dev', 'etc', 'proc', 'root', 'shares',
             'sys', 'tmp', 'volumes'},
            set(self.inside(instance, 'ls', '-A', '/').split()))
        table = self.inside(instance, 'cat', '/proc/self/mountinfo')
        [root] = [line for line in table.splitlines()
                  if line.split()[4] == '/']
        self.assertIn(' /root / rw,nodev', root)
        self.assertNotIn('overlay', table)
        for place in ('/dev/console', '/etc/resolv.conf', '/proc/keys',
                      '/sys/fs/cgroup'):
            self.assertIn(f' {place} ', table)

    def test_after_a_stop_it_is_entered_again(self) -> None:
        self.use_image()
        instance = self.boot(self.make_volume())
        self.inside(instance, 'touch', '/mine')
        self.power.off(instance)
        self.power.on(instance, model.NetworkInfo())
        self.inside(instance, 'ls', '/mine')

    def test_it_waits_for_its_volume(self) -> None:
        self.use_image()
        instance = self.boot(self.make_volume())
        self.power.off(instance)
        self.attached.discard(instance)
        error = self.assertRaises(
            exception.InstancePowerOnFailure, self.power.on, instance,
            model.NetworkInfo())
        self.assertIn('is not connected. Reboot it hard.', str(error))

    def test_volumes_appear_in_it(self) -> None:
        self.use_image()
        instance = self.boot(self.make_volume())
        data = self.make_volume()
        self.attach(instance, data)
        self.inside(instance, 'touch', '/volumes/vdb/file')
        self.detach(instance, data)

    def test_on_another_sandbox(self) -> None:
        self.use_image()
        instance = self.boot(self.make_volume())
        self.inside(instance, 'touch', '/mine')
        self.power.off(instance)
        self.engine.remove(names.sandbox(instance.uuid))
        self.power.on(instance, model.NetworkInfo())
        self.inside(instance, 'ls', '/mine')

    def test_in_another_container(self) -> None:
        """A flavor may ask for what a container has from its birth."""
        self.use_image()
        instance = self.boot(self.make_volume())
        self.inside(instance, 'touch', '/mine')
        self.power.off(instance)
        self.workloads.move_disk(
            instance, configdrive.Details(model.NetworkInfo()),
            flavor=tests.make_flavor(extra_specs={
                'docker:read_only': 'true'}))
        self.workloads.discard_aside(instance)
        self.workloads.start(instance)
        self.inside(instance, 'ls', '/mine')
        code, output = self.engine.run(
            names.workload(instance.uuid), ['touch', '/more'])
        self.assertEqual((1, True), (code, b'Read-only' in output), output)

    def test_rescued(self) -> None:
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.MockPatchObject(
            privsep.storage_pctxt, 'client_mode', False))
        self.use_image()
        instance = self.boot(self.make_volume())
        self.inside(instance, 'touch', '/mine')
        images: mock.Mock = mock.create_autospec(store.Store, instance=True)
        images.properties.return_value = {}
        images.ensure.return_value = self.make_image()
        disks = rootdisk.RootDisk(self.engine)
        self.addCleanup(disks.unmount, instance)
        rescued = rescue.Rescue(
            images, self.workloads, self.power, disks,
            password.Password(self.engine, self.contents))
        rescued.begin(self.context, instance, model.NetworkInfo(),
                      objects.ImageMeta(id='7'), None)
        self.inside(instance, 'sh', '-c',
                    'ls /rescue/mine && touch /rescue/repaired')
        rescued.end(instance)
        self.inside(instance, 'ls', '/repaired')


class ImageTestCase(RootTestCase):
    """What the image has, and what it says of how it is run."""

    def test_the_volume_needs_it_no_more(self) -> None:
        self.use_image(
            base.Entry('etc/passwd', 'root:x:0:0::/root:\n'
                                     'me:x:70:71::/home/me:\n'),
            base.Entry('etc/group', 'mine:x:71:\nalso:x:72:you,me\n'),
            base.directory('home/me', uid=70, gid=71),
            base.program('bin/say', 'id; pwd; echo $MINE $HOME $1; '
                         'exec sleep 1000'),
            changes=('ENTRYPOINT ["say"]', 'CMD ["it"]', 'USER me',
                     'WORKDIR /home/me/work', 'ENV MINE=yes'))
        volume = self.make_volume()
        self.delete(self.boot(volume))
        self._remove_images()
        self._images.clear()
        instance = self.boot(volume)
        said = self.wait_for_log(instance, ' it')
        self.assertIn('uid=70(me) gid=71(mine) groups=71(mine),72(also)',
                      said.replace('groups=72(also),71(mine)',
                                   'groups=71(mine),72(also)'))
        self.assertIn('/home/me/work', said)
        self.assertIn('yes /home/me it', said)

    def test_owners_links_and_capabilities_survive(self) -> None:
        # The engine has all of it in the header of each name.
        fields: dict[str, Any] = {
            'uid': 70, 'gid': 71, 'mode': 0o755,
            'pax_headers': {'SCHILY.xattr.security.capability': _NET_RAW}}
        self.use_image(
            base.Entry('bin/first', b'#!/bin/sh\n', **fields),
            base.Entry('bin/second', type=tarfile.LNKTYPE,
                       linkname='bin/first', **fields))
        instance = self.boot(self.make_volume(), start=False)
        first, second = (self.place(instance) / 'root/bin' / name
                         for name in ('first', 'second'))
        found = first.stat()
        self.assertEqual((70, 71), (found.st_uid, found.st_gid))
        self.assertTrue(first.samefile(second))
        self.assertEqual(_NET_RAW.encode('utf-8', 'surrogateescape'),
                         os.getxattr(first, 'security.capability'))

    def test_programs_may_raise_privileges(self) -> None:
        self.use_image(base.Entry(
            'bin/raise', base._BUSYBOX.read_bytes(), mode=0o4755))
        instance = self.boot(self.make_volume())
        flags = self.inside(instance, 'stat', '-c', '%a', '/bin/raise')
        self.assertEqual('4755\n', flags)
        mounted = self.points.find(
            instance.uuid, propagate.Kind.ROOT, 'vda')
        assert mounted is not None
        self.assertNotIn('nosuid', mounted.options)
        self.assertIn('nodev', mounted.options)
        # Nobody else of the host gets at them.
        self.assertEqual(0o700, self.place(instance).parent.stat().st_mode
                         & 0o777)

    def test_without_docker_init(self) -> None:
        self.use_image()
        instance = self.boot(
            self.make_volume(), 'sleep', '1000',
            system_metadata={'image_docker_init': 'false'})
        self.assertEqual(
            'sleep 1000', self.inside(instance, 'cat', '/proc/1/cmdline')
            .replace('\0', ' ').strip())

    def test_a_command_that_is_not_there(self) -> None:
        self.use_image()
        error = self.assertRaises(errors.EngineBadRequest, self.boot,
                                  self.make_volume(), 'nothing')
        self.assertIn("'nothing' does not exist", str(error))

    def test_a_command_that_has_gone(self) -> None:
        self.use_image(base.program('bin/mine', 'sleep 1000'))
        instance = self.boot(self.make_volume(), 'mine')
        self.inside(instance, 'sh', '-c', 'echo > /bin/mine; '
                    'chmod 644 /bin/mine')
        self.power.off(instance)
        error = self.assertRaises(exception.InstancePowerOnFailure,
                                  self.power.on, instance,
                                  model.NetworkInfo())
        self.assertIn("the command 'mine' does not exist on the root volume",
                      str(error))
        self.assertFalse(self.power.is_running(instance))

    def test_it_gets_a_key_and_files(self) -> None:
        """By way of links that lead where they would in the server."""
        self.use_image(
            base.directory('var/roothome', mode=0o700),
            base.symlink('root', '/var/roothome'),
            base.directory('usr/etc'), base.symlink('opt', '/usr/etc'))
        instance = self.boot(self.make_volume(), key_data=KEY,
                             given=(('/opt/given', b'given'),))
        self.assertEqual(f'{KEY}\n', self.inside(
            instance, 'cat', '/root/.ssh/authorized_keys'))
        self.assertEqual('given', self.inside(
            instance, 'cat', '/usr/etc/given'))
        self.assertEqual('given', files.read(
            self.contents, names.workload(instance.uuid), '/opt/given'))


class ContentTestCase(RootTestCase):
    """What a volume may hold that is to be a root disk."""

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
        self.use_image(base.Entry('large', os.urandom(9 << 20)))
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


class MaliceTestCase(RootTestCase):
    """A tenant may write anything to a volume, before it is a root disk."""

    def prepared(self, script: str) -> objects.Instance:
        """Return a server whose root file system was changed meanwhile."""
        self.use_image()
        instance = self.boot(self.make_volume(), start=False)
        subprocess.run(['sh', '-ec', script], check=True,
                       cwd=self.place(instance) / 'root')
        return instance

    def failure(self, instance: objects.Instance) -> str:
        """Return why a server does not start."""
        error = self.assertRaises(errors.EngineBadRequest,
                                  self.workloads.start, instance)
        tests.wait_until(lambda: not self.power.is_running(instance),
                         'it has ended')
        return str(error)

    def test_a_root_that_is_a_link(self) -> None:
        instance = self.prepared('cd ..; mv root other; ln -s /etc root')
        self.assertRaises((errors.EngineError, ValueError),
                          self.workloads.start, instance)
        tests.wait_until(lambda: not self.power.is_running(instance),
                         'it has ended')

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
