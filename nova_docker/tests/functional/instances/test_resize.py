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
from unittest import mock

from nova.image import glance
from nova.network import model
from oslo_utils import units

from nova import context
from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.images import snapshot
from nova_docker.instances import migration
from nova_docker.instances import resize
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

ELSEWHERE = '192.0.2.7'
COUNT = 'echo started >>/starts; echo ready; exec sleep 1000'
MIGRATION = objects.Migration(source_compute='here', dest_compute='here')


class ResizeTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.glance = mock.create_autospec(glance.API, instance=True)
        self.glance.create.return_value = {'id': 'temporary'}
        self.build = mock.create_autospec(spawn.Spawn, instance=True)
        self.resize = resize.Resize(
            self.engine, self.workloads, self.power, self.attached,
            self.make_destroy(),
            migration.Migration(
                self.glance, snapshot.Snapshot(self.engine, self.glance),
                self.power, self.build, self.roots, self.network))
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
                                 model.NetworkInfo(ports), 0)

    def finish(self, instance: objects.Instance, flavor: objects.Flavor,
               disk_info: str = '{}', power_on: bool = True) -> None:
        instance.old_flavor, instance.flavor = instance.flavor, flavor
        self.resize.finish(self.context, instance, disk_info,
                           model.NetworkInfo(), power_on)

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

    def test_trust_is_not_sent_away(self) -> None:
        """It would be refused where it arrives, when it is too late."""
        instance = self.started()
        instance.trusted_certs = objects.TrustedCerts(ids=['c'])
        error = self.assertRaises(
            exception.InstanceFaultRollback, self.begin, instance,
            tests.make_flavor(), '192.0.2.1')
        self.assertIn('it trusts certificates', str(error))
        self.assertTrue(self.state(instance)['Running'])

    def test_a_bad_flavor_changes_nothing(self) -> None:
        instance = self.started()
        for spec in ({'docker:runtime': 'none-such'},
                     {'quota:cpu_shares': 'many'}):
            error = self.assertRaises(
                exception.InstanceFaultRollback, self.begin, instance,
                tests.make_flavor(memory_mb=96, extra_specs=spec))
            self.assertIn(next(iter(spec)), str(error))
        self.assertEqual(64, self.limits(instance)[0])


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
        self.archive = b''
        self.glance.update.side_effect = self.upload
        self.instance = self.started()

    def upload(self, _context: Any, _image_id: str, _metadata: Any,
               data: Any) -> dict[str, Any]:
        while piece := data.read():
            self.archive += piece
        return {'size': len(self.archive)}

    def test_away_and_confirmed(self) -> None:
        disk_info = self.begin(self.instance, self.instance.flavor, ELSEWHERE)
        self.assertFalse(self.state(self.instance)['Running'])
        self.assertIn(b'started', self.archive)
        self.resize.confirm(self.instance, objects.Migration(
            source_compute='here', dest_compute='there'), model.NetworkInfo())
        self.assertRaises(errors.EngineNotFound, self.state, self.instance)
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
        self.glance.get.return_value = {
            'id': 'temporary', 'name': 'disk', 'status': 'active',
            'size': 1, 'properties': {}, 'disk_format': 'raw',
            'container_format': 'docker', 'min_disk': 0, 'min_ram': 0}
        self.resize.finish(self.context, self.instance,
                           '{"image": "temporary"}', model.NetworkInfo(),
                           True)
        image_meta = self.build.call_args.args[2]
        self.assertEqual('temporary', image_meta.id)
        self.glance.delete.assert_called_once_with(self.context, 'temporary')

    def test_away_and_reverted(self) -> None:
        self.begin(self.instance, self.instance.flavor, ELSEWHERE)
        self.resize.revert(self.instance, model.NetworkInfo(), True)
        self.assertTrue(self.state(self.instance)['Running'])

    def test_glance_fails(self) -> None:
        self.glance.update.side_effect = exception.GlanceConnectionFailed(
            server='glance', reason='gone')
        self.assertRaises(exception.InstanceFaultRollback, self.begin,
                          self.instance, self.instance.flavor, ELSEWHERE)
        self.assertTrue(self.state(self.instance)['Running'])
        self.glance.delete.assert_called_once_with(self.context, 'temporary')
