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

"""A server's root disk as a volume, through the server's life."""

from __future__ import annotations

from unittest import mock

import fixtures
from nova.network import model

from nova import exception
from nova import objects
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import password
from nova_docker.instances import rescue
from nova_docker.instances import rootdisk
from nova_docker import names
from nova_docker import privsep
from nova_docker.tests import base as tests
from nova_docker.tests.functional.rootvolume import base


class LifeTestCase(base.RootTestCase):
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

    def test_nova_has_forgotten_it(self) -> None:
        """It is not taken away like other volumes: it is the server."""
        self.use_image()
        instance = self.boot(self.make_volume())
        data = self.make_volume()
        self.attach(instance, data)
        self.power.off(instance)
        self.attached.discard_others(instance, {'block_device_mapping': []})
        self.assertFalse(data.is_open())
        self.power.on(instance, model.NetworkInfo())

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
