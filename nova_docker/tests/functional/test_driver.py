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

"""The whole driver on a real engine, without a port."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import fixtures
from nova.compute import power_state
from nova.network import model

from nova import context
from nova import exception
from nova import objects
from nova_docker import driver
from nova_docker import errors
from nova_docker import names
from nova_docker.network import wiring
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import proxy
from nova_docker.tests import nova_api
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import glance


class DriverTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        # What needs root's daemons and a switch: there is no port here.
        self.wiring = self.useFixture(fixtures.MockPatchObject(
            wiring, 'Wiring', autospec=True)).mock.return_value
        self.glance = glance.Glance(self.archive)
        self.useFixture(fixtures.MockPatch(
            'nova.image.glance.API', return_value=self.glance.api))
        # There is no database, where the devices' tags would be.
        self.useFixture(fixtures.MockPatchObject(
            objects.BlockDeviceMappingList, 'get_by_instance_uuid',
            autospec=True, return_value=objects.BlockDeviceMappingList()))
        self.useFixture(fixtures.MockPatchObject(
            objects.VirtualInterfaceList, 'get_by_instance_uuid',
            autospec=True, return_value=objects.VirtualInterfaceList()))
        self.context = context.get_admin_context()

    def archive(self) -> Any:
        """Return the pieces of an image that shows when it starts."""
        reference = self.make_image(changes=[
            'CMD trap "echo bye; exit 7" TERM; '
            'echo ready; while true; do sleep 0.1; done'])
        content = b''.join(self.engine.save_image(reference))
        self.engine.remove_image(reference)
        return archives.pieces(content, 65536)

    def start(self) -> driver.DockerDriver:
        """Return a driver as nova-compute has it after its start."""
        started = driver.DockerDriver(nova_api.VirtAPI())
        self.addCleanup(started.cleanup_host, 'host')
        started.init_host('host')
        return started

    def spawn(self, docker: driver.DockerDriver,
              **fields: Any) -> objects.Instance:
        """Spawn an instance of Glance's image."""
        instance = self.make_instance(**fields)
        self.addCleanup(self.engine.remove_image,
                        names.image_reference(instance.image_ref), force=True)
        docker.spawn(self.context, instance, objects.ImageMeta(
            id=instance.image_ref, container_format='docker',
            disk_format='raw'), [], None, {}, model.NetworkInfo())
        return instance

    def test_a_life(self) -> None:
        docker, none = self.start(), model.NetworkInfo()
        instance = self.spawn(docker)

        def state() -> int:
            return int(docker.get_info(instance).state)
        self.assertEqual(power_state.RUNNING, state())
        self.assertIn(instance.uuid, docker.list_instance_uuids())
        self.wait_for_log(instance, 'ready')
        docker.power_off(instance, tests.PATIENCE, 0)
        self.assertEqual(power_state.SHUTDOWN, state())
        docker.power_on(self.context, instance, none)
        self.assertEqual(power_state.RUNNING, state())
        self.wait_for_log(instance, 'bye\nready')
        docker.reboot(self.context, instance, none, 'SOFT')
        self.wait_for_log(instance, 'bye\nready\nbye\nready')
        docker.reboot(self.context, instance, none, 'HARD')
        self.assertEqual(power_state.RUNNING, state())
        docker.pause(instance)
        self.assertEqual(power_state.PAUSED, state())
        docker.unpause(instance)
        self.assertIn('bye', docker.get_console_output(
            self.context, instance))
        self.assertEqual('running',
                         docker.get_instance_diagnostics(instance).state)
        docker.destroy(self.context, instance, none)
        docker.cleanup(self.context, instance, none)
        self.assertNotIn(instance.uuid, docker.list_instance_uuids())
        self.assertRaises(exception.InstanceNotFound, docker.get_info,
                          instance)

    def test_consoles_end_with_the_server_and_with_the_driver(self) -> None:
        self.flags(port_range='21200:21300', group='serial_console')
        docker = self.start()
        instances = [self.spawn(docker), self.spawn(docker)]
        viewers = []
        for instance in instances:
            found = docker.get_serial_console(self.context, instance)
            viewers.append(socket.create_connection((found.host, found.port)))
            self.addCleanup(viewers[-1].close)
            viewers[-1].settimeout(tests.PATIENCE)
            self.assertTrue(viewers[-1].recv(1))
        docker.destroy(self.context, instances[0], model.NetworkInfo())
        self.assert_ends(viewers[0])
        self.assertRaises(exception.InstanceNotFound,
                          docker.get_serial_console, self.context,
                          instances[0])
        docker.cleanup_host('host')
        self.assert_ends(viewers[1])

    def assert_ends(self, connection: socket.socket) -> None:
        """Read until the other side hangs up; else time runs out."""
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass

    def test_a_restart_of_nova_compute_loses_nothing(self) -> None:
        instance = self.spawn(self.start())
        again = self.start()
        self.assertIn(instance.uuid, again.list_instance_uuids())
        self.assertEqual(power_state.RUNNING, again.get_info(instance).state)
        again.destroy(self.context, instance, model.NetworkInfo())

    def test_what_is_not_there(self) -> None:
        docker, nobody = self.start(), self.make_instance()
        for call in (docker.get_info, docker.get_instance_diagnostics):
            error = self.assertRaises(exception.InstanceNotFound, call, nobody)
            self.assertIn(nobody.uuid, str(error))
        docker.power_off(nobody)
        docker.soft_delete(nobody)
        docker.destroy(self.context, nobody, model.NetworkInfo())

    def test_a_container_that_somebody_removed(self) -> None:
        """Nova tells nobody of a server that is not found."""
        docker, none = self.start(), model.NetworkInfo()
        lost, user = self.make_instance(), self.context
        ensured = self.useFixture(fixtures.MockPatchObject(
            docker._storage.volumes, 'ensure', autospec=True)).mock
        for call in (
                lambda: docker.power_on(user, lost, none),
                lambda: docker.reboot(user, lost, none, 'SOFT'),
                lambda: docker.reboot(user, lost, none, 'HARD'),
                lambda: docker.pause(lost),
                lambda: docker.unpause(lost),
                lambda: docker.suspend(user, lost),
                lambda: docker.resume(user, lost, none),
                lambda: docker.resume_state_on_host_boot(
                    user, lost, none, None),
                lambda: docker.restore(lost),
                lambda: docker.trigger_crash_dump(lost)):
            error = self.assertRaises(errors.NoContainer, call)
            self.assertIn('Rebuild the server', error.format_message())
        ensured.assert_not_called()

    def unsure(self, docker: driver.DockerDriver) -> objects.Instance:
        """Return a server of which the engine can't say if it runs."""
        self.useFixture(fixtures.MockPatchObject(
            docker._servers.power, 'quieten', autospec=True,
            side_effect=errors.EngineError('broken', 500)))
        return self.spawn(docker)

    def test_a_port_that_can_not_be_silenced_goes_again(self) -> None:
        docker, port = self.start(), model.VIF(
            id='port', network=model.Network(subnets=[]))
        instance = self.unsure(docker)
        error = self.assertRaises(
            exception.InternalError, docker.attach_interface, self.context,
            instance, None, port)
        self.assertIn('broken', str(error))
        self.wiring.unplug.assert_called_once_with(instance, port)

    def test_one_that_can_not_be_silenced_ends_no_start(self) -> None:
        """Nova survives no other error of one server's ports."""
        docker = self.start()
        error = self.assertRaises(
            exception.VirtualInterfacePlugException, docker.plug_vifs,
            self.unsure(docker), model.NetworkInfo())
        self.assertIn('broken', str(error))

    def test_an_engine_that_is_away(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        self.flags(url=wire.url, group='docker')
        docker, instance = self.start(), self.make_instance()
        wire.cut()
        for call in (docker.list_instances, docker.list_instance_uuids,
                     lambda: docker.get_info(instance),
                     lambda: docker.get_available_resource('host'),
                     lambda: docker.destroy(self.context, instance,
                                            model.NetworkInfo())):
            error = self.assertRaises(exception.HypervisorUnavailable, call)
            self.assertIn('Docker Engine does not answer', str(error))

    def test_what_a_snapshot_left_goes_when_the_engine_is_back(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        self.flags(url=wire.url, group='docker')
        self.start()
        reference = names.snapshot_reference('left')
        self.engine.tag_image(self.make_image(), reference)
        self.addCleanup(self.engine.remove_image, reference)
        wire.cut()
        wire.mend()
        tests.wait_until(lambda: not self.engine.images(reference),
                         'the image is gone')

    def test_no_engine_no_start(self) -> None:
        self.flags(url='unix:///nonexistent/docker.sock', group='docker')
        docker = driver.DockerDriver(nova_api.VirtAPI())
        self.assertRaises(exception.HypervisorUnavailable, docker.init_host,
                          'host')

    def test_resources(self) -> None:
        found = self.start().get_available_resource('node')
        info = self.engine.info()
        self.assertEqual(
            (info['NCPU'], 'docker', 'node'),
            (found['vcpus'], found['hypervisor_type'],
             found['hypervisor_hostname']))
        self.assertGreater(found['local_gb'], 0)
        self.assertGreaterEqual(found['local_gb'], found['local_gb_used'])
        self.assertGreater(found['memory_mb'], found['memory_mb_used'])
        self.assertGreaterEqual(found['hypervisor_version'], 20010000)
