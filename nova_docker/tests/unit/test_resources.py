# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What the host has, from an engine's facts and the kernel's files."""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any
from unittest import mock

import ddt
import fixtures
from nova.compute import provider_tree as tree
from nova.virt import driver as nova_driver
import os_resource_classes as orc

from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import processor
from nova_docker import resources
from nova_docker.tests import base
from nova_docker.tests.unit import kernel

_UUID = '0a1b2c3d-0000-4000-8000-0123456789ab'


def facts(**more: Any) -> dict[str, Any]:
    """Return an engine's facts."""
    return {'NCPU': 8, 'MemTotal': 16 * 1024 ** 3, 'Architecture': 'x86_64',
            'ServerVersion': '28.5.2+dfsg4-1', 'DockerRootDir': '/',
            'Driver': 'overlay2', 'DriverStatus': [
                ['Backing Filesystem', 'extfs']],
            'InitBinary': 'docker-init', 'Runtimes': {'runc': {}}, **more}


#: What an engine with the containerd image store says of its driver.
CONTAINERD = [['driver-type', 'io.containerd.snapshotter.v1']]


class ResourcesTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        self.flags(group='docker', lxcfs='auto', lxcfs_path=home.name)
        self.flags(state_path=home.name)
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.info.return_value = facts()
        self.resources = resources.Resources(self.engine)

    def mount_lxcfs(self) -> None:
        (self.home / 'proc').mkdir()
        (self.home / 'proc' / 'uptime').write_text('1.0 1.0')


class HostTestCase(ResourcesTestCase):
    def test_facts(self) -> None:
        self.flags(group='docker', pids_limit=7, console_log_max_size=9)
        found = self.resources.host()
        self.assertTrue(found.init)
        self.assertEqual(frozenset({'runc'}), found.runtimes)
        self.assertEqual((7, 9, False), (
            found.pids_limit, found.log_size, found.disk_quota))

    def test_an_engine_without_docker_init(self) -> None:
        self.engine.info.return_value = facts(InitBinary='')
        self.assertFalse(self.resources.host().init)

    def test_an_engine_that_does_not_find_docker_init(self) -> None:
        self.engine.info.return_value = facts(InitCommit={'ID': 'N/A'})
        self.assertFalse(self.resources.host().init)

    def test_asked_once_and_again_with_the_inventory(self) -> None:
        self.resources.host()
        self.resources.host()
        self.assertEqual(1, self.engine.info.call_count)
        self.engine.info.return_value = facts(InitBinary='')
        self.resources.available('node')
        self.assertFalse(self.resources.host().init)

    def test_the_disk_of_the_root_disks(self) -> None:
        disks = {'/': '/dev/vda', '/var/lib/containerd': '/dev/vdb',
                 '/elsewhere': '/dev/vdc'}
        self.patch(resources, '_disk_of', disks.get)
        self.patch(os.path, 'exists', disks.__contains__)
        whole = os.statvfs('/')
        self.patch(os, 'statvfs', lambda path: whole)
        for path, info, disk in (
                (None, facts(), '/dev/vda'),
                (None, facts(DriverStatus=CONTAINERD), '/dev/vdb'),
                ('/elsewhere', facts(DriverStatus=CONTAINERD), '/dev/vdc'),
                ('/elsewhere', facts(), '/dev/vdc')):
            self.flags(group='docker', data_path=path)
            self.engine.info.return_value = info
            self.resources.available('node')
            self.assertEqual(disk, self.resources.host().block_device)

    def test_the_directory_of_the_root_disks_is_no_link(self) -> None:
        """The table of mounts has none."""
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        link = home / 'link'
        link.symlink_to('/proc')
        self.flags(group='docker', data_path=str(link))
        self.assertEqual('/proc', resources.data_path(facts()))

    def test_no_answer_is_not_remembered(self) -> None:
        self.engine.info.side_effect = [errors.EngineUnavailable('x'),
                                        facts()]
        self.assertRaises(errors.EngineUnavailable, self.resources.host)
        self.assertTrue(self.resources.host().init)


@ddt.ddt
class QuotaTestCase(base.TestCase):
    @ddt.data(('btrfs', 'extfs', '', True), ('zfs', '', '', True),
              ('overlay2', 'extfs', 'rw,prjquota', False),
              ('overlay2', 'xfs', 'rw,relatime', False),
              ('overlay2', 'xfs', 'rw,relatime,prjquota', True),
              ('overlayfs', '', 'rw,prjquota', False))
    @ddt.unpack
    def test_storage(self, driver: str, backing: str, options: str,
                     expected: bool) -> None:
        self.patch(resources, '_mount_of',
                   lambda path: ('/dev/vda', '/', options))
        self.assertIs(expected, resources.has_disk_quota(facts(
            Driver=driver, DriverStatus=[['Backing Filesystem', backing]])))

    @ddt.data('btrfs', 'zfs', 'overlayfs')
    def test_the_containerd_image_store(self, snapshotter: str) -> None:
        self.assertFalse(resources.has_disk_quota(facts(
            Driver=snapshotter, DriverStatus=CONTAINERD)))

    def test_an_engine_that_says_nothing_of_it(self) -> None:
        self.assertFalse(resources.has_disk_quota(facts(DriverStatus=None)))


class DiskTestCase(base.TestCase):
    """Which disk a path lies on."""

    def setUp(self) -> None:
        super().setUp()
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        # As the kernel has it: a link for each device, partitions below.
        devices, self.classes = (pathlib.Path(home.name, name)
                                 for name in ('devices', 'class'))
        (devices / 'sda' / 'sda1').mkdir(parents=True)
        (devices / 'sda' / 'sda1' / 'partition').touch()
        self.classes.mkdir()
        for name, path in (('sda', 'sda'), ('sda1', 'sda/sda1')):
            (self.classes / name).symlink_to(devices / path)
        self.patch(resources, '_BLOCK_DEVICES', self.classes)

    def disk_of(self, source: str) -> str | None:
        self.patch(resources, '_mount_of', lambda path: (source, '/', ''))
        return resources._disk_of('/var/lib/docker')

    def test_a_disk(self) -> None:
        self.assertEqual('/dev/sda', self.disk_of('/dev/sda'))

    def test_a_partition(self) -> None:
        self.assertEqual('/dev/sda', self.disk_of('/dev/sda1'))

    def test_no_disk(self) -> None:
        for source in ('tmpfs', 'overlay', '/dev/root', 'server:/export'):
            self.assertIsNone(self.disk_of(source))

    def test_mount_of(self) -> None:
        self.assertEqual('/proc', resources._mount_of('/proc/self')[1])
        self.assertEqual('/', resources._mount_of('/procession')[1])


@ddt.ddt
class FormatsTestCase(base.TestCase):
    @ddt.data(('20.10.24+dfsg1', 20010024), ('28.5.2', 28005002),
              ('29.0.0-rc.1', 29000000), ('26.1.5+dfsg1-9', 26001005),
              ('27.0.1~3', 27000001))
    @ddt.unpack
    def test_version(self, text: str, expected: int) -> None:
        self.assertEqual(expected, resources._version(text))

    def test_uptime(self) -> None:
        self.assertRegex(
            resources.uptime(),
            r'^ \d\d:\d\d:\d\d up (\d+ days?, )?\d+:\d\d, '
            r'load average: \d+\.\d\d, \d+\.\d\d, \d+\.\d\d$')

    def test_memory_used(self) -> None:
        self.assertGreater(resources._memory_used(), 0)

    def test_accessible(self) -> None:
        self.assertEqual('/', resources._accessible('/nonexistent/at/all'))
        self.assertEqual('/proc', resources._accessible('/proc'))


class InventoryTestCase(ResourcesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(reserved_host_cpus=1, reserved_host_memory_mb=512,
                   cpu_allocation_ratio=3.0, ram_allocation_ratio=None,
                   initial_ram_allocation_ratio=1.5)
        self.tree = tree.ProviderTree()
        self.tree.new_root('node', _UUID, generation=1)

    def update(self) -> Any:
        self.resources.update_provider_tree(
            self.tree, 'node', nova_driver.ComputeDriver(
                None)._get_allocation_ratios, 10)
        return self.tree.data('node')

    def test_inventory(self) -> None:
        inventory = self.update().inventory
        self.assertEqual({orc.VCPU, orc.MEMORY_MB, orc.DISK_GB},
                         set(inventory))
        self.assertEqual(
            {'total': 8, 'reserved': 1, 'allocation_ratio': 3.0,
             'min_unit': 1, 'max_unit': 8, 'step_size': 1},
            inventory[orc.VCPU])
        self.assertEqual((16384, 512, 1.5), tuple(
            inventory[orc.MEMORY_MB][key]
            for key in ('total', 'reserved', 'allocation_ratio')))
        self.assertEqual(10, inventory[orc.DISK_GB]['reserved'])
        disk = os.statvfs('/')
        self.assertEqual(disk.f_blocks * disk.f_frsize // 1024 ** 3,
                         inventory[orc.DISK_GB]['total'])

    def test_dedicated_cpus(self) -> None:
        self.flags(reserved_host_cpus=0)
        self.useFixture(kernel.Kernel())
        self.flags(group='compute', cpu_dedicated_set='2-7,^4',
                   cpu_shared_set='0,1')
        inventory = self.update().inventory
        self.assertEqual(2, inventory[orc.VCPU]['total'])
        self.assertEqual(
            {'total': 5, 'reserved': 0, 'allocation_ratio': 1.0,
             'min_unit': 1, 'max_unit': 5, 'step_size': 1},
            inventory[orc.PCPU])
        self.flags(group='compute', cpu_shared_set=None)
        self.assertNotIn(orc.VCPU, self.update().inventory)
        self.flags(group='compute', cpu_dedicated_set=None)
        self.assertNotIn(orc.PCPU, self.update().inventory)

    def test_the_disk_of_the_root_disks(self) -> None:
        sizes = {'/': 10, '/var/lib/containerd': 20, '/elsewhere': 30}
        self.patch(os.path, 'exists', sizes.__contains__)
        self.patch(os, 'statvfs', lambda path: os.statvfs_result(
            (1024, 1024, sizes[path] * 1024 ** 2, 9, 9, 9, 9, 9, 0, 255)))
        self.engine.info.return_value = facts(DriverStatus=CONTAINERD)
        self.assertEqual(20, self.update().inventory[orc.DISK_GB]['total'])
        self.flags(group='docker', data_path='/elsewhere')
        self.assertEqual(30, self.update().inventory[orc.DISK_GB]['total'])
        self.flags(group='docker', data_path=None)
        del sizes['/var/lib/containerd']
        self.assertEqual(10, self.update().inventory[orc.DISK_GB]['total'])

    def test_a_disk_below_1_gib_is_none(self) -> None:
        small = os.statvfs_result(
            (4096, 4096, 1000, 900, 900, 9, 9, 9, 0, 255))
        self.patch(os, 'statvfs', lambda path: small)
        self.assertNotIn(orc.DISK_GB, self.update().inventory)

    def traits(self) -> set[str]:
        """Return all but those of the machine that this runs on."""
        machines = processor.traits('x86_64')
        return set(self.update().traits) - set(machines)

    def test_traits_of_the_processor(self) -> None:
        machines = processor.traits('x86_64')
        self.tree.add_traits('node', *machines)
        found = self.update().traits
        self.assertEqual({name for name, held in machines.items() if held},
                         {name for name in found if name in machines})

    def test_traits_come_and_go(self) -> None:
        self.tree.add_traits('node', 'CUSTOM_OPERATORS_OWN')
        self.mount_lxcfs()
        self.engine.info.return_value = facts(Driver='btrfs')
        self.assertEqual(
            {'CUSTOM_OPERATORS_OWN', resources.TRAIT_DOCKER,
             resources.TRAIT_DISK_QUOTA, resources.TRAIT_LXCFS},
            self.traits())
        self.flags(group='docker', lxcfs='off')
        self.engine.info.return_value = facts()
        self.assertEqual(
            {'CUSTOM_OPERATORS_OWN', resources.TRAIT_DOCKER},
            self.traits())

    def test_they_stay_while_the_engine_is_away(self) -> None:
        before = self.update()
        self.engine.info.side_effect = errors.EngineUnavailable('gone')
        after = self.update()
        self.assertEqual((before.inventory, before.traits),
                         (after.inventory, after.traits))

    def test_nothing_to_keep_while_the_engine_is_away(self) -> None:
        self.engine.info.side_effect = errors.EngineUnavailable('gone')
        self.assertRaises(errors.EngineUnavailable, self.update)

    def test_available(self) -> None:
        found = self.resources.available('node')
        self.assertEqual(
            (8, 16384, 'docker', 28005002, 'node'),
            tuple(found[key] for key in (
                'vcpus', 'memory_mb', 'hypervisor_type', 'hypervisor_version',
                'hypervisor_hostname')))
        self.assertTrue(objects.NUMATopology.obj_from_db_obj(
            found['numa_topology']).cells)
        self.assertEqual([('x86_64', 'docker', 'exe')],
                         found['supported_instances'])
