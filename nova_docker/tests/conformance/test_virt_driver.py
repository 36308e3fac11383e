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

"""Nova's suite for every virt driver, on a real engine."""

import ast
from collections.abc import Callable
import inspect
import logging
import textwrap
from typing import Any
from typing import ClassVar
from unittest import mock

from nova.compute import task_states
from nova import exception
from nova import objects
from nova import test
from nova.tests.unit import utils
from nova.tests.unit.virt import test_virt_drivers
from oslo_utils import uuidutils
from testtools import content
from testtools import content_type

from nova.virt import driver as virt_driver
from nova_docker import driver
from nova_docker import errors
from nova_docker.tests.conformance import fixtures
from nova_docker.tests.conformance import left_out


_KNOWN = set(left_out.NEVER)


class _Swallowed(logging.Handler):
    """Hears of each NotImplementedError that Nova's suite passes over."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, dict) and 'method' in record.args:
            self.methods.add(str(record.args['method']))


class DockerDriverTestCase(test_virt_drivers._VirtDriverTestCase,
                           test.TestCase):
    """Judge the driver by what it does with an engine.

    What is not implemented is a detail of the test by that name, which
    contrib/test collects and prints.
    """

    host: ClassVar[fixtures.Host]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = fixtures.Host(cls)

    def setUp(self) -> None:
        self.driver_module = 'nova_docker.driver.DockerDriver'
        self.engine = self.useFixture(fixtures.EngineFixture())
        self.useFixture(fixtures.Suite(self.host, self.flags))
        self.useFixture(fixtures.Cinder())
        super().setUp()
        self.connection.init_host('myhostname')
        self.addCleanup(self.connection.cleanup_host, 'myhostname')
        self._listen()

    def _listen(self) -> None:
        heard = _Swallowed()
        logger = logging.getLogger(test_virt_drivers.__name__)
        logger.addHandler(heard)
        self.addCleanup(logger.removeHandler, heard)
        # After the test's own end: nobody hears of it before.
        self.addCleanup(lambda: self.assertEqual(
            set(), heard.methods - _KNOWN, 'neither implemented nor '
            'explained in left_out.py'))
        self.addDetail('not-implemented', content.Content(
            content_type.UTF8_TEXT,
            lambda: [' '.join(sorted(heard.methods)).encode()]))

    def _get_running_instance(self, obj: bool = True) -> Any:
        instance, network_info = super()._get_running_instance(obj)
        self.assertEqual(
            {'running'}, {each.status for each in self.engine.instances()})
        return instance, network_info

    def test_rescue(self) -> None:
        """As Nova's test, but with an image that has a name and content."""
        instance, network_info = self._rescued()
        self.connection.destroy(self.ctxt, instance, network_info)

    def test_unrescue_rescued_instance(self) -> None:
        instance, network_info = self._rescued()
        self.connection.unrescue(self.ctxt, instance)
        self.connection.destroy(self.ctxt, instance, network_info)

    def _rescued(self) -> tuple[Any, Any]:
        instance, network_info = self._get_running_instance()
        image_meta = utils.get_test_image_object(None, instance)
        self.connection.rescue(
            self.ctxt, instance, network_info, image_meta, '', None,
            objects.ShareMappingList())
        return instance, network_info

    def test_snapshot_not_running(self) -> None:
        """Nova's test, too, has a server without a container.

        It takes what that test wants for a server that is deleted, and
        leaves any other in its task.
        """
        instance = utils.get_test_instance(obj=True)
        self._assert_no_snapshot(errors.NoContainer, instance)
        other = objects.Instance.get_by_uuid(self.ctxt, instance.uuid)
        other.task_state = task_states.DELETING
        other.save()
        self._assert_no_snapshot(exception.InstanceNotRunning, instance)
        other.destroy()
        self._assert_no_snapshot(exception.InstanceNotRunning, instance)

    def _assert_no_snapshot(self, error: type[Exception],
                            instance: objects.Instance) -> None:
        self.assertRaises(
            error, self.connection.snapshot, self.ctxt, instance,
            uuidutils.generate_uuid(), mock.create_autospec(_report))

    def test_attach_detach_volume(self) -> None:
        """As Nova's test, but with a volume that can be connected."""
        instance, _network_info = self._get_running_instance()
        volume = self.useFixture(fixtures.Volume())
        self.connection.attach_volume(
            self.ctxt, volume.connection, instance, '/dev/vdb')
        self.assertEqual(5, len(self.connection.block_stats(instance, 'vdb')))
        self.connection.detach_volume(
            self.ctxt, volume.connection, instance, '/dev/vdb')

    def test_attach_detach_different_power_states(self) -> None:
        instance, network_info = self._get_running_instance()
        volume = self.useFixture(fixtures.Volume())
        self.connection.power_off(instance)
        self.connection.attach_volume(
            self.ctxt, volume.connection, instance, '/dev/vdb')
        self.connection.power_on(
            self.ctxt, instance, network_info, {'block_device_mapping': [
                {'connection_info': volume.connection,
                 'mount_device': '/dev/vdb'}]})
        self.connection.detach_volume(
            self.ctxt, volume.connection, instance, '/dev/vdb')

    def test_swap_volume(self) -> None:
        """As Nova's test, but with volumes that can be connected."""
        instance, _network_info = self._get_running_instance()
        old, new = (self.useFixture(fixtures.Volume()) for _each in range(2))
        self.connection.attach_volume(
            self.ctxt, old.connection, instance, '/dev/vdb')
        self.connection.swap_volume(
            self.ctxt, old.connection, new.connection, instance, '/dev/vdb',
            0)
        self.assertEqual(5, len(self.connection.block_stats(instance, 'vdb')))
        # Nova gives the new one the old one's id.
        self.connection.detach_volume(
            self.ctxt, {**new.connection, 'serial': old.connection['serial']},
            instance, '/dev/vdb')

    def test_block_stats(self) -> None:
        """Nova's test wants figures of a device that is not there.

        Its contract asks for none of them then, and so do its callers.
        """
        instance, _network_info = self._get_running_instance()
        self.assertIsNone(self.connection.block_stats(instance, 'someid'))

    def test_get_device_name_for_instance(self) -> None:
        instance, _network_info = self._get_running_instance()
        self.assertEqual(
            '/dev/vdb', self.connection.get_device_name_for_instance(
                instance, [], objects.BlockDeviceMapping(device_name=None)))

    def test_live_migration(self) -> None:
        """As Nova's test of its base class has it: there is none."""
        self.assertRaises(
            NotImplementedError, super().test_live_migration)

    def test_live_migration_force_complete(self) -> None:
        instance, _network_info = self._get_running_instance()
        self.assertRaises(
            NotImplementedError,
            self.connection.live_migration_force_complete, instance)

    def test_nothing_else_is_left_out(self) -> None:
        """Also of what Nova's suite does not call."""
        left = {name for name, method in inspect.getmembers(
            virt_driver.ComputeDriver, inspect.isfunction)
            if _only_raises(method)
            and getattr(driver.DockerDriver, name) is method}
        self.assertEqual(set(), left - _KNOWN)

    def test_what_is_left_out_is_not_there(self) -> None:
        """A list of reasons for what is there would tell lies."""
        for name in _KNOWN:
            self.assertIs(getattr(virt_driver.ComputeDriver, name),
                          getattr(driver.DockerDriver, name), name)


def _report(task_state: str, expected_state: str = '') -> None:
    """As nova-compute has the task of a snapshot reported."""


def _only_raises(method: Callable[..., Any]) -> bool:
    """Whether a method does nothing but say that it is not implemented."""
    [function] = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    assert isinstance(function, ast.FunctionDef)
    [*before, last] = function.body
    return (isinstance(last, ast.Raise)
            and 'NotImplementedError' in ast.unparse(last)
            and all(isinstance(each, ast.Expr) for each in before))
