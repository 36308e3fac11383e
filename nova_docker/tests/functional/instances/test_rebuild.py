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

"""Rebuilds of real containers: the root disk is new, all else stays."""

from __future__ import annotations

from typing import Any
from unittest import mock

from nova.compute import task_states
from nova.network import model
from oslo_utils import units

from nova import context
from nova import exception
from nova import objects
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import rebuild
from nova_docker.instances import rootdisk
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.volumes import whole

OLD = ('CMD ["/bin/sh", "-c", "echo old >/disk; exec sleep 1000"]',)
NEW = ('CMD ["/bin/sh", "-c", "cat /disk; echo new; exec sleep 1000"]',)


class RebuildTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.images = mock.create_autospec(store.Store, instance=True)
        self.build = mock.create_autospec(spawn.Spawn, instance=True)
        self.instance = self.run_workload(self.make_image(changes=OLD))
        self.saved: list[Any] = []
        # There is no database.
        patch = mock.patch.object(objects.Instance, 'save', autospec=True,
                                  side_effect=self.save)
        self.addCleanup(patch.stop)
        patch.start()

    def save(self, instance: objects.Instance,
             expected_task_state: list[str]) -> None:
        self.saved.append((instance.task_state, expected_task_state))

    def rebuild(self, changes: tuple[str, ...] = NEW,
                evacuate: bool = False, reimage: bool = False,
                devices: whole.BlockDevices | None = None) -> None:
        self.images.ensure.return_value = self.make_image(changes=changes)
        rebuild.Rebuild(
            self.images, self.workloads, self.make_power(),
            rootdisk.RootDisk(self.engine), self.build)(
                context.get_admin_context(), self.instance,
                objects.ImageMeta(),
                configdrive.Details(model.NetworkInfo(),
                                    block_devices=devices),
                evacuate, reimage)

    def sandbox(self) -> tuple[str, int]:
        found = self.engine.container(names.sandbox(self.instance.uuid))
        return found['Id'], found['State']['Pid']

    def test_a_new_disk_on_the_same_network(self) -> None:
        before = self.sandbox()
        self.rebuild()
        log = self.wait_for_log(self.instance, 'new')
        self.assertNotIn('old', log)
        self.assertEqual(before, self.sandbox())
        self.assertFalse(self.workloads.is_aside(self.instance))
        self.assertEqual([(task_states.REBUILD_SPAWNING,
                           [task_states.REBUILDING])], self.saved)

    def test_the_limits_of_a_resize_without_a_restart(self) -> None:
        large = tests.make_flavor(memory_mb=96)
        self.workloads.limit(self.instance, large)
        self.instance.flavor = large
        self.rebuild()
        found = self.engine.container(names.workload(self.instance.uuid))
        self.assertEqual(96 * units.Mi, found['HostConfig']['Memory'])

    def test_an_image_that_does_not_start_loses_nothing(self) -> None:
        error = self.assertRaises(exception.BuildAbortException, self.rebuild,
                                  ('CMD ["/bin/none-such"]',))
        self.assertIn('/bin/none-such', str(error))
        self.assert_old()

    def test_what_the_engine_misses_is_told(self) -> None:
        """Nova would take it for the server, and wait for ever."""
        self.images.ensure.side_effect = lambda *_: 'nova-docker-test/none'
        error = self.assertRaises(exception.BuildAbortException, self.rebuild)
        self.assertIn('nova-docker-test/none', str(error))
        self.assert_old()

    def test_a_container_that_is_aside_is_told_of(self) -> None:
        self.workloads.set_aside(self.instance)
        self.assertRaises(exception.BuildAbortException, self.rebuild)
        self.assertTrue(self.workloads.is_aside(self.instance))

    def assert_old(self) -> None:
        self.assertTrue(self.state(self.instance)['Running'])
        tests.wait_until(lambda: self.disk() == b'old\n',
                         'it has its root disk')

    def disk(self) -> bytes:
        return self.engine.run(names.workload(self.instance.uuid),
                               ['cat', '/disk'])[1]

    def test_an_unacceptable_image_stops_nothing(self) -> None:
        pid = self.state(self.instance)['Pid']
        self.images.ensure.side_effect = exception.ImageUnacceptable(
            image_id='7', reason='no')
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.assertEqual(pid, self.state(self.instance)['Pid'])

    def test_evacuation_builds_what_is_not_here(self) -> None:
        self.rebuild(evacuate=True)
        self.assertEqual(1, self.build.call_count)

    def test_a_volume_is_reimaged_without_a_container_too(self) -> None:
        """Nova takes the server apart first, and may not come further."""
        self.workloads.discard(self.instance)
        root = {'block_device_mapping': [{'boot_index': 0}]}
        self.assertRaises(NotImplementedError, self.rebuild, reimage=True,
                          devices=root)
        self.build.assert_not_called()

    def test_what_is_on_no_volume_is_not_reimaged(self) -> None:
        self.rebuild(reimage=True, devices={
            'block_device_mapping': [{'boot_index': None}]})
        self.wait_for_log(self.instance, 'new')
