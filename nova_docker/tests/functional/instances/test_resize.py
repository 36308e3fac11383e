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

from collections.abc import Sequence
import hashlib
import pathlib
from typing import Any
from unittest import mock

import fixtures
from nova.image import glance
from nova.network import model
from os_brick import exception as brick_exception
from oslo_utils import units

from nova import context
from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.images import snapshot
from nova_docker.instances import attempt
from nova_docker.instances import configdrive
from nova_docker.instances import migration
from nova_docker.instances import resize
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker import spec
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.volumes import propagate

ELSEWHERE = '192.0.2.7'
COUNT = 'echo started >>/starts; echo ready; exec sleep 1000'
EPHEMERAL = {'ephemerals': [{'device_name': '/dev/vdb', 'size': 1}]}
MIGRATION = objects.Migration(source_compute='here', dest_compute='here')


class ResizeTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.glance = mock.create_autospec(glance.API, instance=True)
        self.glance.create.return_value = {'id': 'temporary'}
        self.build = mock.create_autospec(spawn.Spawn, instance=True)
        self.attempts = attempt.Attempt(self.engine, self.boxes)
        self.resize = resize.Resize(
            self.engine, self.workloads, self.power, self.attached,
            self.make_destroy(),
            migration.Migration(
                self.glance, snapshot.Snapshot(self.engine, self.glance),
                self.power, self.build, self.roots, self.network, self.local),
            self.local, self.attempts)
        self.context = context.get_admin_context()

    def started(self, flavor: objects.Flavor | None = None,
                **fields: Any) -> objects.Instance:
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     COUNT, flavor=flavor, **fields)
        self.wait_for_log(instance, 'ready')
        return instance

    def begin(self, instance: objects.Instance, flavor: objects.Flavor,
              dest: str | None = None, *ports: model.VIF) -> str:
        return self.resize.begin(self.context, instance,
                                 dest or str(CONF.my_ip), flavor,
                                 configdrive.Details(
                                     model.NetworkInfo(ports)), 0)

    def finish(self, instance: objects.Instance, flavor: objects.Flavor,
               disk_info: str = '{}', power_on: bool = True) -> None:
        instance.old_flavor, instance.flavor = instance.flavor, flavor
        self.resize.finish(self.context, instance, disk_info,
                           configdrive.Details(model.NetworkInfo()), power_on)

    def revert(self, instance: objects.Instance) -> None:
        instance.flavor = instance.old_flavor
        self.resize.revert(instance, model.NetworkInfo(), True)

    def limits(self, instance: objects.Instance) -> tuple[int, int, int]:
        """Return the engine's memory in MiB, CPU quota and CPU shares."""
        host = self.engine.container(
            names.workload(instance.uuid))['HostConfig']
        return (host['Memory'] // units.Mi, host['CpuQuota'],
                host['CpuShares'])

    def starts(self, instance: objects.Instance) -> int:
        """Return how often the workload's root disk was booted."""
        _code, output = self.engine.run(names.workload(instance.uuid),
                                        ['cat', '/starts'])
        return output.count(b'started')


class LimitsTestCase(ResizeTestCase):
    def test_the_processes_go_on(self) -> None:
        instance = self.started()
        large = tests.make_flavor(
            memory_mb=96, vcpus=2, extra_specs={'quota:cpu_shares': '512'})
        pid = self.state(instance)['Pid']
        self.finish(instance, large, self.begin(instance, large))
        self.assertEqual((96, 200000, 512), self.limits(instance))
        self.resize.confirm(instance, MIGRATION, model.NetworkInfo())
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

    def test_revert_before_anything_changed(self) -> None:
        """As Nova does when it was killed in the middle."""
        instance = self.started()
        pid = self.state(instance)['Pid']
        self.resize.revert(instance, model.NetworkInfo(), True)
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
        self.local.ensure(instance, EPHEMERAL)
        for dest in (str(CONF.my_ip), ELSEWHERE):
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


class RefusedTestCase(ResizeTestCase):
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


class NewContainerTestCase(ResizeTestCase):
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
        self.resize.confirm(self.instance, MIGRATION, model.NetworkInfo())
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

    def test_destroyed_in_between(self) -> None:
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.images())
        self.assertEqual([], self.engine.containers(
            [f'{names.UUID}={self.instance.uuid}']))


class ElsewhereTestCase(ResizeTestCase):
    """A host that knows nothing of this one, but has the same Glance."""

    def setUp(self) -> None:
        super().setUp()
        #: What Glance has, by image.
        self.stored: dict[str, bytes] = {}
        self.glance.create.side_effect = [{'id': 'first'}, {'id': 'second'}]
        self.glance.update.side_effect = self.upload
        self.instance = self.started(tests.make_flavor(ephemeral_gb=1))
        self.addCleanup(self.local.discard, self.instance)

    def upload(self, _context: Any, image_id: str, _metadata: Any,
               data: Any) -> dict[str, Any]:
        self.stored[image_id] = b''.join(iter(data.read, b''))
        return {'size': len(self.stored[image_id])}

    def call(self, _context: Any, _version: int, method: str,
             args: Sequence[str]) -> list[bytes]:
        """Download as Glance's client does."""
        self.assertEqual('data', method)
        return [self.stored[args[0]]]

    def send(self) -> str:
        return self.begin(self.instance, self.instance.flavor, ELSEWHERE)

    def receive(self, disk_info: str) -> None:
        self.glance.get.return_value = {
            'id': 'first', 'name': 'disk', 'status': 'active',
            'size': 1, 'properties': {}, 'disk_format': 'raw',
            'container_format': 'docker', 'min_disk': 0, 'min_ram': 0}
        client = self.useFixture(fixtures.MockPatchObject(
            glance, 'GlanceClientWrapper', autospec=True)).mock
        client.return_value.call.side_effect = self.call
        self.finish(self.instance, self.instance.flavor, disk_info)

    def write_to_ephemeral_disk(self) -> None:
        self.local.ensure(self.instance, EPHEMERAL)
        pathlib.Path(self.points.point(
            self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'),
            'file').write_text('precious')

    def ephemeral_content(self) -> str:
        self.local.ensure(self.instance)
        return pathlib.Path(self.points.point(
            self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'),
            'file').read_text()

    def test_away_and_confirmed(self) -> None:
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.assertFalse(self.state(self.instance)['Running'])
        self.assertIn(b'started', self.stored['first'])
        self.assertIn(b'precious', self.stored['second'])
        self.resize.confirm(self.instance, objects.Migration(
            source_compute='here', dest_compute='there'), model.NetworkInfo())
        self.assertRaises(errors.EngineNotFound, self.state, self.instance)
        self.assertEqual([], self.local.names(self.instance))
        self.assertTrue(migration.Migration.is_away(disk_info))

    def test_its_ports_leave_the_switch(self) -> None:
        port = model.VIF(id='port')
        self.begin(self.instance, self.instance.flavor, ELSEWHERE, port)
        self.wires.unplug.assert_called_once_with(self.instance, port)

    def test_its_ports_do_not_leave_the_switch(self) -> None:
        """It goes nowhere, and runs."""
        self.wires.unplug.side_effect = OSError('the switch is gone')
        self.assertRaises(exception.InstanceFaultRollback, self.begin,
                          self.instance, self.instance.flavor, ELSEWHERE,
                          model.VIF(id='port'))
        self.glance.create.assert_not_called()
        self.assertTrue(self.state(self.instance)['Running'])

    def test_received(self) -> None:
        """Whatever certificates it trusts: nobody has signed what comes."""
        self.instance.trusted_certs = objects.TrustedCerts(ids=['c'])
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.local.discard(self.instance)
        self.receive(disk_info)
        self.assertEqual('first', self.build.call_args.args[2].id)
        self.assertEqual(
            hashlib.sha256(self.stored['first']).hexdigest(),
            self.build.call_args.args[5])
        self.assertEqual('precious', self.ephemeral_content())
        self.assertEqual(
            [mock.call(self.context, 'first'),
             mock.call(self.context, 'second')],
            self.glance.delete.call_args_list)

    def test_another_disk_is_received(self) -> None:
        """Somebody has come between."""
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.local.discard(self.instance)
        self.stored['second'] = self.stored['second'].replace(
            b'precious', b'poisoned')
        error = self.assertRaises(exception.ImageUnacceptable, self.receive,
                                  disk_info)
        self.assertIn('not what the other compute host sent', str(error))
        self.build.assert_not_called()
        self.assertEqual([], self.local.names(self.instance))
        self.assertEqual(2, self.glance.delete.call_count)

    def test_away_and_reverted(self) -> None:
        self.write_to_ephemeral_disk()
        self.send()
        self.resize.revert(self.instance, model.NetworkInfo(), True)
        self.assertTrue(self.state(self.instance)['Running'])
        self.assertEqual('precious', self.ephemeral_content())

    def test_glance_fails(self) -> None:
        """At the first disk, or at the second."""
        self.write_to_ephemeral_disk()
        gone = exception.GlanceConnectionFailed(server='glance',
                                                reason='gone')

        def fail_later(*given: Any, **named: Any) -> dict[str, Any]:
            if given[1] == 'second':
                raise gone
            return self.upload(*given, **named)

        for fault, made in ((gone, ['first']),
                            (fail_later, ['first', 'second'])):
            self.glance.create.side_effect = [{'id': 'first'},
                                              {'id': 'second'}]
            self.glance.delete.reset_mock()
            self.glance.update.side_effect = fault
            self.assertRaises(exception.InstanceFaultRollback, self.send)
            self.assertTrue(self.state(self.instance)['Running'])
            self.assertTrue(self.points.is_mounted(
                self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'))
            self.assertEqual('precious', self.ephemeral_content())
            self.assertEqual(made, sorted(
                call.args[1] for call in self.glance.delete.call_args_list))


class VolumeTestCase(ResizeTestCase, volumes.VolumesTestCase):
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

    def test_elsewhere(self) -> None:
        self.assertRaises(exception.InstanceFaultRollback, self.begin,
                          self.server, self.server.flavor, ELSEWHERE)
        self.glance.delete.assert_called_once_with(self.context, 'temporary')
        self.assert_as_before()
