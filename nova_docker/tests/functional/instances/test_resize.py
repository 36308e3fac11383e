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

"""Resizes of real containers, as their processes and cgroups see them."""

from __future__ import annotations

from typing import Any

import ddt
import fixtures
from nova.network import model
from os_brick import exception as brick_exception
from oslo_utils import units

from nova import exception
from nova_docker.conf import CONF
from nova_docker import names
from nova_docker import spec
from nova_docker.tests import base as tests
from nova_docker.tests.functional.instances import resizing
from nova_docker.tests.functional.volumes import base as volumes


class LimitsTestCase(resizing.ResizeTestCase):
    def test_the_processes_go_on(self) -> None:
        instance = self.started()
        large = tests.make_flavor(
            memory_mb=96, vcpus=2, extra_specs={'quota:cpu_shares': '512'})
        pid = self.state(instance)['Pid']
        self.finish(instance, large, self.begin(instance, large))
        self.assertEqual((96, 200000, 512), self.limits(instance))
        self.resize.confirm(instance, resizing.MIGRATION, model.NetworkInfo())
        self.assertEqual(pid, self.state(instance)['Pid'])

    def test_the_cgroup_has_the_new_limit(self) -> None:
        instance = self.started()
        self.begin(instance, tests.make_flavor(memory_mb=96))
        _code, output = self.engine.run(
            names.workload(instance.uuid),
            ['sh', '-c', 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes '
             '/sys/fs/cgroup/memory.max 2>/dev/null; true'])
        self.assertEqual(96 * units.Mi, int(output))

    def test_revert(self) -> None:
        instance = self.started()
        large = tests.make_flavor(
            memory_mb=96, vcpus=2, extra_specs={'quota:cpu_shares': '512'})
        pid = self.state(instance)['Pid']
        self.finish(instance, large, self.begin(instance, large))
        self.revert(instance)
        self.assertEqual((64, 100000, 1024), self.limits(instance))
        self.assertEqual(pid, self.state(instance)['Pid'])

    def test_revert_of_one_that_has_grown(self) -> None:
        """The kernel refuses it less memory than its processes hold."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'trap "exit 7" TERM; echo ready; until test -e /grow; do '
            'sleep 0.1; done; rm /grow; '
            'x=$(head -c 90000000 /dev/zero | tr "\\0" x); echo grown; '
            'while true; do sleep 0.1; done')
        large = tests.make_flavor(memory_mb=512)
        self.finish(instance, large, self.begin(instance, large))
        self.engine.run(names.workload(instance.uuid), ['touch', '/grow'])
        self.wait_for_log(instance, 'grown')
        self.revert(instance)
        self.wait_for_log(instance, 'ready\ngrown\nready')
        self.assertEqual(64, self.limits(instance)[0])

    def test_a_hard_reboot_mends_limits(self) -> None:
        instance = self.started()
        self.workloads.limit(instance, tests.make_flavor(memory_mb=96))
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertEqual(64, self.limits(instance)[0])

    def test_a_hard_reboot_changes_no_other(self) -> None:
        """Who is confined to no CPU is not confined to those of today."""
        instance = self.started()
        name = names.workload(instance.uuid)
        before = self.engine.container(name)['HostConfig']
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertEqual(before, self.engine.container(name)['HostConfig'])

    def test_a_hard_reboot_with_limits_that_are_refused(self) -> None:
        instance = self.started()
        instance.flavor = tests.make_flavor(memory_mb=1)
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertTrue(self.state(instance)['Running'])
        self.assertEqual(64, self.limits(instance)[0])

    def test_revert_before_anything_changed(self) -> None:
        """As Nova does when it was killed in the middle."""
        instance = self.started()
        pid = self.state(instance)['Pid']
        self.revert(instance)
        self.assertEqual(pid, self.state(instance)['Pid'])

    def test_a_stopped_one_stays_so(self) -> None:
        instance = self.started()
        self.power.off(instance)
        large = tests.make_flavor(memory_mb=96)
        self.finish(instance, large, self.begin(instance, large),
                    power_on=False)
        self.assertFalse(self.state(instance)['Running'])
        self.assertEqual(96, self.limits(instance)[0])

    def test_too_little_memory_is_refused(self) -> None:
        """Memory that processes hold, and no page cache."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'x=$(head -c 20000000 /dev/zero | tr "\\0" x); echo ready; '
            'read wait')
        self.wait_for_log(instance, 'ready')
        error = self.assertRaises(
            exception.InstanceFaultRollback, self.begin, instance,
            tests.make_flavor(name='m1.less', memory_mb=8))
        self.assertIn('flavor m1.less has 8 MiB', str(error))
        self.assertEqual(64, self.limits(instance)[0])
        self.assertTrue(self.state(instance)['Running'])

    def test_smaller_ephemeral_disks_are_refused(self) -> None:
        instance = self.started()
        self.addCleanup(self.local.discard, instance)
        self.local.ensure(instance, resizing.EPHEMERAL)
        for dest in (str(CONF.my_ip), resizing.ELSEWHERE):
            error = self.assertRaises(
                exception.InstanceFaultRollback, self.begin, instance,
                tests.make_flavor(name='m1.less', memory_mb=96), dest)
            self.assertIn('its ephemeral disks have 1 GiB, and flavor m1.less '
                          'has 0 GiB', str(error))
        self.assertEqual(64, self.limits(instance)[0])
        self.assertTrue(self.state(instance)['Running'])

    def test_a_bad_flavor_changes_nothing(self) -> None:
        instance = self.started()
        for extra in ({'docker:runtime': 'none-such'},
                      {'quota:cpu_shares': 'many'}):
            error = self.assertRaises(
                exception.InstanceFaultRollback, self.begin, instance,
                tests.make_flavor(memory_mb=96, extra_specs=extra))
            self.assertIn(next(iter(extra)), str(error))
        self.assertEqual(64, self.limits(instance)[0])


class RefusedTestCase(resizing.ResizeTestCase):
    """What the engine refuses only when it starts a container."""

    def test_it_runs_on(self) -> None:
        instance = self.started()
        pid = self.state(instance)['Pid']
        for key, value, word in (
                ('docker:device_0', '/dev/nosuch', '/dev/nosuch'),
                ('docker:sysctl_kernel.msgmax', 'many', 'msgmax')):
            error = self.assertRaises(
                exception.InstanceFaultRollback, self.begin, instance,
                tests.make_flavor(extra_specs={key: value}))
            self.assertIn(word, str(error))
            self.assertEqual(pid, self.state(instance)['Pid'])
        self.assertEqual([], self.left())

    def test_one_that_is_stopped(self) -> None:
        instance = self.started()
        self.power.off(instance)
        self.boxes.stop(instance.uuid)
        self.assertRaises(
            exception.InstanceFaultRollback, self.begin, instance,
            tests.make_flavor(extra_specs={'docker:device_0': '/dev/nosuch'}))
        self.begin(instance, tests.make_flavor(
            extra_specs={'docker:device_0': '/dev/full'}))
        self.assertEqual([], self.left())

    def test_what_a_kill_has_left(self) -> None:
        instance = self.started()
        self.engine.create(names.attempt(instance.uuid), spec.attempt(
            self.workloads.body(instance, ''), self.boxes.prepare(), 'none'))
        self.assertEqual(1, len(self.left()))
        self.attempts.prepare()
        self.assertEqual([], self.left())
        self.assertTrue(self.state(instance)['Running'])

    def left(self) -> list[dict[str, Any]]:
        return self.engine.containers([f'{names.ROLE}={names.Role.ATTEMPT}'])


@ddt.ddt
class NewContainerTestCase(resizing.ResizeTestCase):
    """A capability is given to a container when it is born."""

    LARGE = tests.make_flavor(
        memory_mb=96, extra_specs={'docker:cap_add': 'NET_ADMIN'})

    def setUp(self) -> None:
        super().setUp()
        self.instance = self.started()
        self.disk_info = self.begin(self.instance, self.LARGE)
        self.finish(self.instance, self.LARGE, self.disk_info)

    def capabilities(self) -> list[str]:
        return self.engine.container(names.workload(
            self.instance.uuid))['HostConfig']['CapAdd'] or []

    def images(self) -> list[dict[str, Any]]:
        return self.engine.images(
            names.disk_reference(self.instance.uuid, '*'))

    def test_confirm(self) -> None:
        self.assertIn('NET_ADMIN', ' '.join(self.capabilities()))
        self.assertEqual(96, self.limits(self.instance)[0])
        tests.wait_until(lambda: self.starts(self.instance) == 2,
                         'it has the root disk of before')
        self.resize.confirm(self.instance, resizing.MIGRATION,
                            model.NetworkInfo())
        self.assertFalse(self.workloads.is_aside(self.instance))
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.images())

    def test_revert(self) -> None:
        self.revert(self.instance)
        self.assertEqual([], self.capabilities())
        self.assertEqual(64, self.limits(self.instance)[0])
        tests.wait_until(lambda: self.starts(self.instance) == 2,
                         'the old one was booted again')
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.images())

    def test_one_that_nobody_ended(self) -> None:
        """The next resize is reverted to what has run since."""
        self.inside('touch', '/since')
        self.begin(self.instance, tests.make_flavor(
            memory_mb=128, extra_specs=self.LARGE.extra_specs))
        self.instance.old_flavor = self.LARGE
        self.revert(self.instance)
        self.inside('cat', '/since')
        self.assertEqual(96, self.limits(self.instance)[0])

    @ddt.data('created', 'dead', 'removing')
    def test_a_stand_in_without_a_disk(self, status: str) -> None:
        """As the engine calls what it could not remove wholly."""
        container = self.engine.container

        def found(name: str) -> dict[str, Any]:
            document = container(name)
            if name == names.workload(self.instance.uuid):
                document['State']['Status'] = status
            return document
        self.useFixture(fixtures.MockPatchObject(
            self.engine, 'container', autospec=True, side_effect=found))
        self.workloads.settle(self.instance)
        self.assertTrue(self.workloads.is_aside(self.instance))

    def inside(self, *command: str) -> None:
        code, output = self.engine.run(names.workload(self.instance.uuid),
                                       command)
        self.assertEqual(0, code, output)

    def test_volumes_that_do_not_come_back(self) -> None:
        """With the flavor that Nova goes by since it has its container."""
        self.lose_volumes()
        self.assertRaises(brick_exception.BrickException, self.revert,
                          self.instance)
        self.assert_old()

    def test_volumes_that_do_not_come(self) -> None:
        self.revert(self.instance)
        disk_info = self.begin(self.instance, self.LARGE)
        self.lose_volumes()
        self.assertRaises(brick_exception.BrickException, self.finish,
                          self.instance, self.LARGE, disk_info)
        self.assert_old()

    def lose_volumes(self) -> None:
        self.useFixture(fixtures.MockPatchObject(
            self.attached, 'ensure', autospec=True,
            side_effect=brick_exception.BrickException('the target is gone')))

    def assert_old(self) -> None:
        self.assertFalse(self.workloads.is_aside(self.instance))
        self.assertEqual([], self.capabilities())
        self.assertEqual(64, self.limits(self.instance)[0])

    def test_destroyed_in_between(self) -> None:
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.images())
        self.assertEqual([], self.engine.containers(
            [f'{names.UUID}={self.instance.uuid}']))


class VolumeTestCase(resizing.ResizeTestCase, volumes.VolumesTestCase):
    """A server whose volume can not be disconnected, in the end."""

    def setUp(self) -> None:
        super().setUp()
        self.glance.update.side_effect = self.upload
        self.server = self.start()
        self.attach(self.server, self.make_volume())
        self.useFixture(fixtures.MockPatchObject(
            self.attached, 'discard', autospec=True,
            side_effect=brick_exception.BrickException('the target is gone')))

    def upload(self, _context: Any, _image_id: str, _metadata: Any,
               data: Any) -> dict[str, Any]:
        return {'size': sum(len(piece) for piece in iter(data.read, b''))}

    def assert_as_before(self) -> None:
        self.assertTrue(self.state(self.server)['Running'])
        self.assertIn('vdb', self.inside(self.server, 'ls', '/volumes'))
        self.assertEqual(64, self.limits(self.server)[0])
        self.assertFalse(self.workloads.is_aside(self.server))

    def test_here(self) -> None:
        for flavor in (tests.make_flavor(memory_mb=96),
                       NewContainerTestCase.LARGE):
            error = self.assertRaises(exception.InstanceFaultRollback,
                                      self.begin, self.server, flavor)
            self.assertIn('the target is gone', str(error))
            self.assert_as_before()

    def test_none_comes_back(self) -> None:
        """That it was connected is not known; the limits are."""
        self.useFixture(fixtures.MockPatchObject(
            self.attached, 'ensure', autospec=True,
            side_effect=brick_exception.BrickException('no path')))
        for flavor in (tests.make_flavor(memory_mb=96),
                       NewContainerTestCase.LARGE):
            self.assertRaises(brick_exception.BrickException, self.begin,
                              self.server, flavor)
            self.assertEqual(64, self.limits(self.server)[0])
            self.assertFalse(self.workloads.is_aside(self.server))

    def test_elsewhere(self) -> None:
        self.assertRaises(exception.InstanceFaultRollback, self.begin,
                          self.server, self.server.flavor, resizing.ELSEWHERE)
        self.glance.delete.assert_called_once_with(self.context, 'temporary')
        self.assert_as_before()
