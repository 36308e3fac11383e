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

"""What the tests of resizes and migrations share."""

from __future__ import annotations

from typing import Any
from unittest import mock

from nova.image import glance
from nova.network import model
from oslo_utils import units

from nova import context
from nova import objects
from nova_docker.conf import CONF
from nova_docker.images import snapshot
from nova_docker.instances import attempt
from nova_docker.instances import configdrive
from nova_docker.instances import migration
from nova_docker.instances import resize
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker.tests.functional import base

ELSEWHERE = '192.0.2.7'
_COUNT = 'echo started >>/starts; echo ready; exec sleep 1000'
EPHEMERAL = {'ephemerals': [{'device_name': '/dev/vdb', 'size': 1}]}
MIGRATION = objects.Migration(source_compute='here', dest_compute='here')


class ResizeTestCase(base.EngineTestCase):
    """A test of servers that count how often their root disk was booted."""

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
                                     _COUNT, flavor=flavor, **fields)
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
        if 'old_flavor' in instance:
            instance.flavor = instance.old_flavor
        self.resize.revert(self.context, instance,
                           configdrive.Details(model.NetworkInfo()), True)

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
