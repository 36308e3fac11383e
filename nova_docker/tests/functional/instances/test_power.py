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

"""Power of real containers, and above all how they end."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from typing import Any

from nova.compute import power_state
from nova.network import model

from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

#: Seconds that a container gets where it should end long before by itself.
PATIENCE = 120
KILLED, HUNG_UP = 128 + 9, 128 + 1
#: A service that ends in its own time, with a word and a code of its own.
SERVICE = ('trap "sleep 2; echo bye; exit 7" TERM\n'
           'echo ready\nwhile true; do sleep 0.1; done')
DEAF = 'trap "" TERM HUP INT\necho ready\nwhile true; do sleep 0.1; done'


class PowerTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.query = query.Query(self.engine)

    def on(self, instance: objects.Instance) -> None:
        self.power.on(instance, model.NetworkInfo())

    def power_state(self, instance: objects.Instance) -> int:
        return int(self.query.info(instance).state)


class OffTestCase(PowerTestCase):
    def started(self, image: str, *command: str,
                **more: Any) -> objects.Instance:
        instance = self.run_workload(image, *command, **more)
        self.wait_for_log(instance, 'ready')
        return instance

    def stop(self, instance: objects.Instance, timeout: int) -> int:
        """Stop an instance; return its exit code."""
        self.power.off(instance, timeout)
        self.assertEqual(power_state.SHUTDOWN, self.power_state(instance))
        return int(self.state(instance)['ExitCode'])

    def test_a_shell_hangs_up(self) -> None:
        """It ignores SIGTERM, and would take the whole time-out."""
        image = self.make_image(
            base.Entry('profile', 'echo ready\n'),
            changes=['ENV ENV=/profile', 'CMD ["/bin/sh"]'])
        instance = self.started(image)
        began = time.monotonic()
        self.assertEqual(HUNG_UP, self.stop(instance, PATIENCE))
        self.assertLess(time.monotonic() - began, PATIENCE / 2)

    def test_a_service_ends_in_its_own_time(self) -> None:
        instance = self.started(self.make_image(), '/bin/sh', '-c', SERVICE)
        self.assertEqual(7, self.stop(instance, PATIENCE))
        self.assertIn('bye', self.log(instance))

    def test_a_service_that_is_process_one(self) -> None:
        for host in (self.host(),
                     dataclasses.replace(self.host(), init=False)):
            instance = self.started(
                self.make_image(), '/bin/sh', '-c', SERVICE, host=host,
                system_metadata={'image_docker_init': 'false'})
            self.assertEqual(7, self.stop(instance, PATIENCE))
            self.assertIn('bye', self.log(instance))

    def test_a_shell_script_is_a_service(self) -> None:
        """A hang-up would end it before it has heard of SIGTERM."""
        image = self.make_image(base.program('serve', SERVICE))
        instance = self.started(image, '/bin/sh', '/serve')
        self.assertEqual(7, self.stop(instance, PATIENCE))

    def test_a_process_without_a_handler_ends_at_once(self) -> None:
        """As process 1 it would take the whole time-out."""
        instance = self.started(self.make_image(), '/bin/sh', '-c',
                                'echo ready; exec sleep 1000')
        self.assertEqual(128 + 15, self.stop(instance, PATIENCE))

    def test_right_after_the_start(self) -> None:
        """The engine says that it runs before docker-init hears signals."""
        image = self.make_image()
        program = shutil.which(self.engine.info()['InitBinary'])
        for _number in range(4):
            if program:
                # It takes longer to start when it is read from the disk.
                with open(program, 'rb') as file:
                    os.posix_fadvise(file.fileno(), 0, 0,
                                     os.POSIX_FADV_DONTNEED)
            instance = self.run_workload(image, '/bin/sleep', '1000')
            self.assertEqual(128 + 15, self.stop(instance, PATIENCE))

    def test_the_images_stop_signal(self) -> None:
        instance = self.started(
            self.make_image(), '/bin/sh', '-c', SERVICE.replace('TERM', 'INT'),
            system_metadata={'image_docker_stop_signal': 'SIGINT'})
        self.assertEqual(7, self.stop(instance, PATIENCE))

    def test_whoever_hears_nothing_is_killed_in_the_end(self) -> None:
        instance = self.started(self.make_image(), '/bin/sh', '-c', DEAF)
        began = time.monotonic()
        self.assertEqual(KILLED, self.stop(instance, 2))
        self.assertGreaterEqual(time.monotonic() - began, 2)

    def test_no_time_at_all(self) -> None:
        instance = self.started(self.make_image(), '/bin/sh', '-c', SERVICE)
        self.assertEqual(KILLED, self.stop(instance, 0))
        self.assertNotIn('bye', self.log(instance))

    def test_a_paused_one_gets_its_signal_too(self) -> None:
        instance = self.started(self.make_image(), '/bin/sh', '-c', SERVICE)
        self.power.pause(instance)
        self.assertEqual(7, self.stop(instance, PATIENCE))

    def test_again_and_before_the_first_start(self) -> None:
        instance = self.started(self.make_image(), '/bin/sh', '-c',
                                'echo ready; exit 3')
        self.wait_for_end(instance)
        self.assertEqual(3, self.stop(instance, PATIENCE))
        new = self.make_instance()
        self.create(new, self.make_image())
        self.power.off(new, PATIENCE)

    def test_without_a_workload(self) -> None:
        """Its sandbox answers no more than that of another that is off."""
        instance, port = self.make_instance(), model.VIF(id='port')
        instance.info_cache.network_info = model.NetworkInfo([port])
        self.power.off(instance, PATIENCE)
        self.wires.silence.assert_called_once_with(port)


class OnTestCase(PowerTestCase):
    def test_the_disk_and_the_network_stay(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'ls -l /proc/self/ns/net; echo >> /count; wc -l /count; exec sh')
        self.wait_for_log(instance, '1 /count')
        self.power.off(instance, 0)
        self.on(instance)
        written = self.wait_for_log(instance, '2 /count').splitlines()
        namespaces = {line.split()[-1] for line in written if 'net:' in line}
        self.assertEqual(1, len(namespaces))

    def test_again(self) -> None:
        instance = self.run_workload(self.make_image())
        process = self.state(instance)['Pid']
        self.on(instance)
        self.assertEqual(process, self.state(instance)['Pid'])

    def test_the_sandbox_had_ended(self) -> None:
        """As after the host's own reboot."""
        instance = self.run_workload(self.make_image())
        self.power.off(instance, 0)
        self.engine.stop(names.sandbox(instance.uuid), 0)
        self.on(instance)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))

    def test_the_sandbox_was_lost(self) -> None:
        """The engine binds a workload to one sandbox: it gets another."""
        instance = self.run_workload(self.make_image())
        self.power.off(instance, 0)
        self.engine.remove(names.sandbox(instance.uuid))
        self.on(instance)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))

    def test_a_failure_leaves_it_as_it_was(self) -> None:
        instance = self.make_instance(tests.make_flavor(
            extra_specs={'docker:sysctl_vm.nosuch': '1'}))
        self.create(instance, self.make_image())
        error = self.assertRaises(exception.InstancePowerOnFailure, self.on,
                                  instance)
        self.assertIn('vm.nosuch', error.format_message())
        self.assertEqual(power_state.SHUTDOWN, self.power_state(instance))
        self.assertRaises(exception.InstancePowerOnFailure, self.on, instance)

    def test_what_was_set_aside_and_forgotten(self) -> None:
        """As by an engine that went away before another took its place."""
        instance = self.run_workload(self.make_image())
        self.power.off(instance, 0)
        before = self.engine.container(names.workload(instance.uuid))['Id']
        self.engine.rename(before, names.aside(instance.uuid))
        self.on(instance)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))
        self.assertEqual(before, self.engine.container(
            names.workload(instance.uuid))['Id'])

    def test_without_a_workload(self) -> None:
        """Nova records no fault of an instance that is not found."""
        error = self.assertRaises(errors.NoContainer, self.on,
                                  self.make_instance())
        self.assertIn('Rebuild the server', error.format_message())


class RebootTestCase(PowerTestCase):
    def reboot(self, instance: objects.Instance, hard: bool) -> None:
        self.power.reboot(instance, model.NetworkInfo(), hard)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))

    def test_soft(self) -> None:
        self.flags(shutdown_timeout=PATIENCE)
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     SERVICE)
        self.wait_for_log(instance, 'ready')
        self.reboot(instance, hard=False)
        self.wait_for_log(instance, 'bye\nready')

    def test_soft_with_the_images_own_time_out(self) -> None:
        self.flags(shutdown_timeout=PATIENCE)
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c', DEAF,
            system_metadata={'image_os_shutdown_timeout': '1'})
        self.wait_for_log(instance, 'ready')
        began = time.monotonic()
        self.reboot(instance, hard=False)
        self.assertLess(time.monotonic() - began, PATIENCE / 2)

    def test_hard(self) -> None:
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     SERVICE)
        self.wait_for_log(instance, 'ready')
        self.reboot(instance, hard=True)
        self.assertNotIn('bye', self.wait_for_log(instance, 'ready\nready'))

    def test_without_a_workload(self) -> None:
        self.assertRaises(errors.NoContainer, self.power.reboot,
                          self.make_instance(), model.NetworkInfo(), True)

    def test_of_one_that_had_ended(self) -> None:
        instance = self.run_workload(self.make_image(), 'true')
        self.wait_for_end(instance)
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.wait_for_end(instance)


class PauseTestCase(PowerTestCase):
    def test_pause_and_unpause(self) -> None:
        instance = self.run_workload(self.make_image())
        self.power.pause(instance)
        self.assertEqual(power_state.PAUSED, self.power_state(instance))
        self.power.unpause(instance)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))

    def test_a_port_that_nova_still_remembers_is_not_plugged(self) -> None:
        """Who detaches a port and unpauses at once sends the old list."""
        instance = self.run_workload(self.make_image())
        port = model.VIF(id='port')
        instance.info_cache.network_info = model.NetworkInfo([port])
        self.power.pause(instance)
        self.wires.silence.assert_called_once_with(port)
        self.power.unpause(instance)
        self.wires.end_silence.assert_called_once_with(port)
        self.wires.plug.assert_not_called()

    def test_somebody_else_has_thawed_it(self) -> None:
        instance = self.run_workload(self.make_image())
        port = model.VIF(id='port')
        instance.info_cache.network_info = model.NetworkInfo([port])
        self.power.pause(instance)
        self.engine.unpause(names.workload(instance.uuid))
        self.power.unpause(instance)
        self.wires.end_silence.assert_called_once_with(port)

    def test_of_one_that_does_not_run(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.assertRaises(errors.EngineError, self.power.pause, instance)


class HostBootTestCase(PowerTestCase):
    def test_host_boot(self) -> None:
        instance = self.run_workload(self.make_image())
        pid = self.state(instance)['Pid']
        self.power.restore(instance, model.NetworkInfo())
        self.assertEqual(pid, self.state(instance)['Pid'])
        self.power.off(instance)
        self.power.restore(instance, model.NetworkInfo())
        self.assertEqual(power_state.RUNNING, self.power_state(instance))


class CrashTestCase(PowerTestCase):
    def test_the_main_process_gets_the_signal(self) -> None:
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     'echo ready; exec sleep 1000')
        self.wait_for_log(instance, 'ready')
        self.power.crash(instance)
        self.assertEqual(128 + 3, self.wait_for_end(instance))
        self.assertRaises(exception.InstanceNotRunning, self.power.crash,
                          instance)

    def test_a_shell_ignores_it(self) -> None:
        instance = self.run_workload(self.make_image())
        error = self.assertRaises(exception.InstanceInvalidState,
                                  self.power.crash, instance)
        self.assertIn('interactive shell', str(error))
        self.assertTrue(self.state(instance)['Running'])
