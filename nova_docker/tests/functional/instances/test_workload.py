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

"""Workloads that move, and what is left of those who were killed at it."""

from __future__ import annotations

from nova.network import model

from nova import objects
from nova_docker import errors
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests.functional import base

COUNT = 'echo started >>/starts; cat /starts; exec sleep 1000'


class WorkloadTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                          COUNT)
        self.wait_for_log(self.instance, 'started')
        self.power = self.make_power()

    def on(self, instance: objects.Instance) -> None:
        self.power.on(instance, model.NetworkInfo())

    def test_a_sandbox_that_an_operator_removed(self) -> None:
        """The engine binds a workload to it for ever; its disk moves."""
        self.power.off(self.instance)
        self.engine.remove(names.sandbox(self.instance.uuid))
        self.on(self.instance)
        self.wait_for_log(self.instance, 'started\nstarted')
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.engine.images(
            names.disk_reference(self.instance.uuid, '*')))

    def test_killed_before_the_disk_had_moved(self) -> None:
        self.engine.create(names.successor(self.instance.uuid), {
            **self.workloads.body(self.instance, self.make_image())})
        self.workloads.recover()
        self.assertRaises(errors.EngineNotFound, self.engine.container,
                          names.successor(self.instance.uuid))
        self.assertTrue(self.state(self.instance)['Running'])

    def test_one_set_aside_is_not_listed(self) -> None:
        found = query.Query(self.engine)
        self.power.off(self.instance)
        self.workloads.set_aside(self.instance)
        self.assertNotIn(self.instance.uuid, found.workloads())
        self.assertTrue(self.workloads.is_here(self.instance))
        self.workloads.bring_back(self.instance)
        self.assertIn(self.instance.uuid, found.workloads())

    def test_nothing_is_aside(self) -> None:
        self.workloads.remove_stand_in(self.instance)
        self.workloads.bring_back(self.instance)
        self.assertTrue(self.state(self.instance)['Running'])
