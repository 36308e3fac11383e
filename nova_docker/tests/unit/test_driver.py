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

"""The facade: thin, complete, behind the wall."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import inspect
from typing import Any
from unittest import mock

import fixtures
from nova.compute import task_states
from nova.virt import driver as nova_driver
import os_traits

from nova import exception
from nova import objects
from nova_docker import driver
from nova_docker import errors
from nova_docker.tests import base
from nova_docker.tests import nova_api

#: What the driver says that it can do, and what must be there for it.
_METHODS = {
    'has_imagecache': ('cache_image', 'manage_image_cache'),
    'supports_bfv_rescue': ('rescue', 'unrescue'),
    'supports_attach_interface': ('attach_interface', 'detach_interface'),
    'supports_device_tagging': ('spawn',),
    'supports_evacuate': ('rebuild',),
    'supports_image_type_raw': ('spawn',),
    'supports_migrate_to_same_host': ('migrate_disk_and_power_off',
                                      'finish_migration'),
    'supports_mem_backing_file': ('mount_share', 'umount_share'),
    'supports_multiattach': ('attach_volume',),
    'supports_remote_managed_ports': ('plug_vifs',),
    'supports_tagged_attach_interface': ('attach_interface',),
    'supports_tagged_attach_volume': ('attach_volume',),
    'supports_extend_volume': ('extend_volume',),
    'supports_trusted_certs': ('spawn',),
    'supports_virtio_fs': ('mount_share', 'umount_share'),
}


def _methods() -> Iterator[tuple[str, Any]]:
    for name, method in vars(driver.DockerDriver).items():
        if inspect.isfunction(method):
            yield name, method


def _statements(method: Any) -> int:
    """Return how many lines a method's body has."""
    source = inspect.getsource(inspect.unwrap(method))
    [function] = ast.parse(inspect.cleandoc('\n' + source)).body
    assert isinstance(function, ast.FunctionDef)
    body = [node for node in function.body if not (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


class FacadeTestCase(base.TestCase):
    def test_methods_are_thin(self) -> None:
        long = {name: _statements(method) for name, method in _methods()
                if name != '__init__' and _statements(method) > 8}
        self.assertEqual({}, long)

    def test_every_public_method_is_behind_the_wall(self) -> None:
        for name, method in _methods():
            if not name.startswith('_'):
                self.assertTrue(hasattr(method, '__wrapped__'), name)

    def test_every_public_method_is_novas_with_its_signature(self) -> None:
        base_class = nova_api.base_class()
        for name, method in _methods():
            if name.startswith('_'):
                continue
            ours = inspect.signature(inspect.unwrap(method)).parameters
            novas = inspect.signature(
                getattr(base_class, name)).parameters
            self.assertEqual(
                [(each.name, each.default) for each in novas.values()],
                [(each.name, each.default) for each in ours.values()], name)

    def test_capabilities_have_their_methods(self) -> None:
        own = vars(driver.DockerDriver)
        claimed = [name for name, value in
                   driver.DockerDriver.capabilities.items() if value]
        for name in claimed:
            self.assertIn(name, _METHODS)
            for method in _METHODS[name]:
                self.assertIn(method, own, name)

    def test_every_capability_is_known_to_nova(self) -> None:
        self.assertEqual(set(nova_driver.ComputeDriver.capabilities),
                         set(driver.DockerDriver.capabilities))

    def test_attachment_of_interfaces_is_claimed(self) -> None:
        """Nova refuses it otherwise, whatever the driver has."""
        self.assertTrue(driver.DockerDriver.capabilities[
            'supports_attach_interface'])


class BuildTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        # A driver is made before its engine need be there.
        self.flags(url='unix:///nonexistent/docker.sock', group='docker')
        self.driver = driver.DockerDriver(nova_api.VirtAPI())

    def test_nothing_is_contacted(self) -> None:
        self.assertIsInstance(self.driver, nova_driver.ComputeDriver)

    def test_migrations_stay_here_only_if_the_operator_says_so(self) -> None:
        for allowed in (True, False):
            self.flags(allow_resize_to_same_host=allowed)
            made = driver.DockerDriver(nova_api.VirtAPI())
            self.assertIs(allowed, made.capabilities_as_traits()[
                os_traits.COMPUTE_SAME_HOST_COLD_MIGRATE])

    def revert_to(self, host: str) -> objects.Instance:
        """Return a server whose resize goes back to a host."""
        self.useFixture(fixtures.MockPatchObject(
            objects.Migration, 'get_by_id_and_instance', autospec=True,
            return_value=objects.Migration(source_compute=host)))
        return base.make_instance(
            task_state=task_states.RESIZE_REVERTING,
            migration_context=objects.MigrationContext(migration_id=7))

    def test_storage_is_shared_with_the_same_host_alone(self) -> None:
        self.flags(host='here')
        told = self.driver.check_instance_shared_storage_local(
            None, self.revert_to('here'))
        self.assertTrue(self.driver.check_instance_shared_storage_remote(
            None, told))
        self.flags(host='another')
        self.assertFalse(self.driver.check_instance_shared_storage_remote(
            None, told))

    def test_no_other_host_is_asked(self) -> None:
        """Nova takes its silence for a yes; this it takes for a no."""
        for instance in (self.revert_to('another'), base.make_instance()):
            self.assertRaises(
                NotImplementedError,
                self.driver.check_instance_shared_storage_local, None,
                instance)

    def test_no_engine_is_novas_error(self) -> None:
        self.assertRaises(exception.HypervisorUnavailable,
                          self.driver.list_instances)

    def test_absence_names_the_instance(self) -> None:
        instance = base.make_instance()
        with mock.patch.object(self.driver._servers.query, 'info',
                               autospec=True,
                               side_effect=errors.EngineNotFound('x', 404)):
            error = self.assertRaises(exception.InstanceNotFound,
                                      self.driver.get_info, instance)
        self.assertIn(instance.uuid, str(error))

    def test_the_node_has_a_stable_identity(self) -> None:
        self.flags(host='somewhere')
        with mock.patch('nova.virt.node.get_local_node_uuid', autospec=True,
                        return_value='uuid'):
            self.assertEqual({'uuid': 'somewhere'},
                             self.driver.get_nodenames_by_uuid())
        self.assertEqual(['somewhere'], self.driver.get_available_nodes())

    def test_the_hosts_address(self) -> None:
        self.flags(my_ip='192.0.2.7')
        self.assertEqual('192.0.2.7', self.driver.get_host_ip_addr())

    def test_no_list_of_ports_is_an_empty_one(self) -> None:
        """Nova gives none at all in some calls."""
        instance: objects.Instance = base.make_instance()
        for destroy_vifs in (True, False):
            with mock.patch.object(self.driver._servers, 'destroy',
                                   autospec=True) as destroy:
                self.driver.cleanup(None, instance, None,
                                    destroy_vifs=destroy_vifs)
            self.assertEqual([], list(destroy.call_args.args[1]))
