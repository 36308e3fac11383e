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

"""Suspended and resumed, in each of the two ways."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
from unittest import mock

import fixtures
from nova.compute import power_state
from nova.network import model

from nova import exception
from nova import objects
from nova.virt import event
from nova_docker import errors
from nova_docker.instances import lifecycle
from nova_docker.instances import query
from nova_docker.instances import suspension
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.privsep import checkpoints
from nova_docker.privsep import namespaces
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.volumes import propagate

#: What only a process that goes on can do.
COUNT = ('i=0; while true; do i=$((i+1)); echo "tick $i."; sleep 0.1; done')


def _exchange() -> bytes:
    """Send a datagram here; return what arrives of it.

    A filter that drops what is sent makes it fail at once.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.settimeout(tests.PATIENCE)
        port.bind(('127.0.0.1', 0))
        port.sendto(b'words', port.getsockname())
        return port.recv(100)


class SuspensionTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.points: mock.Mock = mock.create_autospec(
            propagate.Propagation, instance=True)
        self.points.has_any.return_value = False
        self.query = query.Query(self.engine)

    def make_suspension(self, method: str) -> suspension.Suspension:
        """Return what a nova-compute that starts now has."""
        self.flags(group='docker', suspend_method=method)
        made = suspension.Suspension(self.engine, self.query, self.power,
                                     self.network, self.boxes, self.points,
                                     self.host)
        made.prepare()
        return made

    def power_state(self, instance: objects.Instance) -> int:
        return int(self.query.info(instance).state)

    def counting(self) -> objects.Instance:
        """Start a server that counts."""
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     COUNT)
        self.wait_for_log(instance, 'tick 3.')
        return instance

    def assertGoesOn(self, instance: objects.Instance) -> None:
        """See that it counts, and never began again."""
        self.assertEqual(power_state.RUNNING, self.power_state(instance))
        last = self.log(instance).count('tick ')
        self.wait_for_log(instance, f'tick {last + 3}.')
        self.assertEqual(1, self.log(instance).count('tick 1.'))


class FreezeTestCase(SuspensionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.suspension = self.make_suspension('freeze')

    def test_frozen_and_thawed(self) -> None:
        instance = self.counting()
        self.suspension.suspend(instance)
        self.assertEqual(power_state.PAUSED, self.power_state(instance))
        self.suspension.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)

    def test_one_that_the_host_has_ended_since_starts(self) -> None:
        instance = self.run_workload(self.make_image())
        self.suspension.suspend(instance)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.suspension.resume(instance, model.NetworkInfo())
        self.assertEqual(power_state.RUNNING, self.power_state(instance))

    def test_without_a_workload(self) -> None:
        nobody = self.make_instance()
        for writes in (False, True):
            self.suspension.writes = writes
            self.assertRaises(errors.NoContainer, self.suspension.suspend,
                              nobody)

    def test_one_that_does_not_start_leaves_no_port(self) -> None:
        instance = self.run_workload(self.make_image())
        self.suspension.suspend(instance)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'prepare', autospec=True, side_effect=OSError))
        port = model.VIF(id='port', network=model.Network(subnets=[]))
        self.assertRaises(OSError, self.suspension.resume, instance,
                          model.NetworkInfo([port]))
        self.wires.plug.assert_called_once_with(instance, port)
        self.wires.silence.assert_called_once_with(port)

    def test_what_the_engine_can_not_do_is_done_otherwise(self) -> None:
        """Most engines, as the one of Debian 12, make no checkpoints."""
        able = self.make_suspension('checkpoint')
        instance = self.counting()
        able.suspend(instance)
        self.assertEqual(
            power_state.SUSPENDED if able.writes else power_state.PAUSED,
            self.power_state(instance))
        able.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)

    def test_one_with_a_volume_is_frozen(self) -> None:
        """Even where others are written to disk."""
        self.suspension.writes = True
        self.points.has_any.return_value = True
        instance = self.counting()
        self.suspension.suspend(instance)
        self.assertEqual(power_state.PAUSED, self.power_state(instance))
        self.points.has_any.assert_called_with(instance.uuid)
        self.suspension.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)

    def test_the_trial_leaves_nothing(self) -> None:
        before = {each['Id'] for each in self.engine.containers([])}
        self.make_suspension('checkpoint')
        self.assertEqual(
            before, {each['Id'] for each in self.engine.containers([])})


class CheckpointTestCase(SuspensionTestCase):
    def setUp(self) -> None:
        super().setUp()
        log = self.useFixture(fixtures.FakeLogger())
        self.suspension = self.make_suspension('checkpoint')
        if not self.suspension.writes:
            self.skipTest('This engine makes no checkpoints.')
        self.assertNotIn('No copy of a checkpoint', log.output)

    def suspended(self) -> objects.Instance:
        """Suspend a server that counts."""
        instance = self.counting()
        self.suspension.suspend(instance)
        self.assertSuspended(instance)
        return instance

    def assertSuspended(self, instance: objects.Instance) -> None:
        self.assertEqual(power_state.SUSPENDED, self.power_state(instance))
        self.assertEqual(power_state.SUSPENDED,
                         self.query.workloads()[instance.uuid])
        self.assertEqual(0, self.state(instance)['Pid'])

    def assertConnected(self, instance: objects.Instance) -> None:
        """See that packets pass in its network, which is its sandbox's."""
        pids = [self.engine.container(name)['State']['Pid'] for name in (
            names.workload(instance.uuid), names.sandbox(instance.uuid))]
        self.assertEqual(1, len({
            os.readlink(f'/proc/{pid}/ns/net') for pid in pids}))
        with namespaces.of_process(pids[0]) as namespace:
            self.assertEqual(b'words',
                             namespaces.run_in(namespace, _exchange))

    def copies(self, container: str) -> list[pathlib.Path]:
        """Return what containerd has left of a container's memory."""
        paths = pathlib.Path('/tmp').glob('ctrd-checkpoint*/cgroup.img')
        return [path.parent for path in paths
                if container.encode() in path.read_bytes()]

    def interrupted(self) -> tuple[objects.Instance, str]:
        """Return a server that was resumed, and the id of its container.

        The nova-compute that did it ended right after that.
        """
        instance = self.suspended()
        name = names.workload(instance.uuid)
        self.engine.start_from_checkpoint(name)
        self.assertTrue(self.has_checkpoint(instance))
        container = str(self.engine.container(name)['Id'])
        self.assertEqual(1, len(self.copies(container)))
        return instance, container

    def has_checkpoint(self, instance: objects.Instance) -> bool:
        return self.engine.has_checkpoint(names.workload(instance.uuid))

    def test_suspended_and_resumed(self) -> None:
        instance = self.suspended()
        container = self.engine.container(names.workload(instance.uuid))
        for _round in range(2):
            self.suspension.resume(instance, model.NetworkInfo())
            self.assertGoesOn(instance)
            self.assertConnected(instance)
            self.assertFalse(self.has_checkpoint(instance))
            self.assertEqual([], self.copies(container['Id']))
            self.suspension.suspend(instance)
            self.assertSuspended(instance)

    def test_another_nova_compute_resumes_it(self) -> None:
        """Even one that would freeze."""
        instance = self.suspended()
        later = self.make_suspension('freeze')
        self.assertSuspended(instance)
        later.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)

    def test_the_terminal_stays(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo ready; while read -r line; do echo "heard $line"; done')
        self.wait_for_log(instance, 'ready')
        self.suspension.suspend(instance)
        self.suspension.resume(instance, model.NetworkInfo())
        line = self.engine.attach(names.workload(instance.uuid))
        self.addCleanup(line.close)
        self.assertEqual(6, line.write(b'words\n'))
        self.wait_for_log(instance, 'heard words')

    def test_after_a_host_boot_it_has_its_network(self) -> None:
        """The sandbox has a new network namespace then."""
        instance = self.suspended()
        self.engine.stop(names.sandbox(instance.uuid), 0)
        self.suspension.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)
        self.assertConnected(instance)

    def test_off_forgets_it(self) -> None:
        instance = self.suspended()
        self.power.off(instance)
        self.assertEqual(power_state.SHUTDOWN, self.power_state(instance))
        self.assertFalse(self.has_checkpoint(instance))
        self.power.on(instance, model.NetworkInfo())
        self.assertStartedAnew(instance)

    def test_on_forgets_it(self) -> None:
        """As for an operator who has told Nova that it is stopped."""
        instance = self.suspended()
        self.power.on(instance, model.NetworkInfo())
        self.assertStartedAnew(instance)

    def test_a_reboot_starts_anew(self) -> None:
        instance = self.suspended()
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertStartedAnew(instance)

    def assertStartedAnew(self, instance: objects.Instance) -> None:
        """See that it began again, and has a network."""
        self.assertEqual(power_state.RUNNING, self.power_state(instance))
        tests.wait_until(
            lambda: self.log(instance).count('tick 1.') == 2,
            'the server counts from 1 again')
        self.assertFalse(self.has_checkpoint(instance))
        self.assertConnected(instance)

    def test_off_in_the_midst_of_it_can_be_done_again(self) -> None:
        """As after a crash between the network's end and the memory's."""
        instance = self.suspended()
        self.network.end(instance)
        self.network.end(instance)
        self.assertSuspended(instance)
        self.power.off(instance)
        self.power.on(instance, model.NetworkInfo())
        self.assertStartedAnew(instance)

    def test_one_that_can_not_be_written_runs_on(self) -> None:
        """CRIU keeps no file of any size that has lost its name."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'dd if=/dev/zero of=/large bs=1024 count=16384; '
            f'exec 9< /large; /bin/busybox rm /large; {COUNT}')
        self.wait_for_log(instance, 'tick 3.')
        failure = self.assertRaises(exception.InstanceFaultRollback,
                                    self.suspension.suspend, instance)
        self.assertIsInstance(failure.inner_exception,
                              exception.InstanceSuspendFailure)
        self.assertGoesOn(instance)
        self.assertConnected(instance)
        self.assertFalse(self.has_checkpoint(instance))

    def test_one_that_can_not_be_resumed_stays_suspended(self) -> None:
        instance = self.run_workload(
            self.make_image(base.Entry('data', 'some words')),
            '/bin/sh', '-c', 'exec 3< /data; echo ready; sleep 1000')
        self.wait_for_log(instance, 'ready')
        self.suspension.suspend(instance)
        name = names.workload(instance.uuid)
        self.engine.write_archive(name, '/', base.root_file_system(
            [base.Entry('data', 'more')]))
        failure = self.assertRaises(
            exception.InstanceFaultRollback, self.suspension.resume,
            instance, model.NetworkInfo())
        self.assertIsInstance(failure.inner_exception,
                              exception.InstanceResumeFailure)
        self.assertSuspended(instance)
        self.assertEqual([], self.copies(self.engine.container(name)['Id']))
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertEqual(power_state.RUNNING, self.power_state(instance))
        self.assertConnected(instance)

    def test_what_is_left_of_one_that_runs_is_removed(self) -> None:
        instance, container = self.interrupted()
        self.make_suspension('checkpoint')
        self.assertFalse(self.has_checkpoint(instance))
        self.assertEqual([], self.copies(container))
        self.assertGoesOn(instance)
        self.assertConnected(instance)

    def test_on_of_one_that_runs_leaves_its_network(self) -> None:
        """What is left of it has no lock; the processes are in there."""
        instance, container = self.interrupted()
        self.power.on(instance, model.NetworkInfo())
        self.assertFalse(self.has_checkpoint(instance))
        self.assertEqual([], self.copies(container))
        self.assertGoesOn(instance)
        self.assertConnected(instance)

    def test_destroyed_it_leaves_nothing(self) -> None:
        instance = self.suspended()
        self.make_destroy()(instance, model.NetworkInfo())
        self.assertNotIn(instance.uuid, self.query.uuids())
        self.assertFalse(self.has_checkpoint(instance))

    def test_destroyed_it_leaves_no_copies(self) -> None:
        instance, container = self.interrupted()
        self.make_destroy()(instance, model.NetworkInfo())
        self.assertEqual([], self.copies(container))

    def test_copies_that_can_not_be_removed_are_no_obstacle(self) -> None:
        instance = self.suspended()
        name = names.workload(instance.uuid)
        container = self.engine.container(name)
        with mock.patch.object(checkpoints, 'remove_copies', autospec=True,
                               side_effect=PermissionError):
            self.suspension.resume(instance, model.NetworkInfo())
        self.assertGoesOn(instance)
        self.assertFalse(self.has_checkpoint(instance))
        [left] = self.copies(container['Id'])
        shutil.rmtree(left)

    def test_nova_hears_of_it(self) -> None:
        instance = self.counting()
        heard: list[int] = []
        follower = lifecycle.Lifecycle(
            self.engine, self.query,
            lambda told: heard.append(told.get_transition()))
        follower.start()
        self.addCleanup(follower.stop)
        tests.wait_until(lambda: event.EVENT_LIFECYCLE_STARTED in heard,
                         'it is known to run')
        self.suspension.suspend(instance)
        tests.wait_until(lambda: event.EVENT_LIFECYCLE_SUSPENDED in heard,
                         'it is known to be suspended')
