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

"""What is listed, and what never is."""

from __future__ import annotations

import uuid

from nova.compute import power_state

from nova_docker import errors
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests.functional import base


class QueryTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.query = query.Query(self.engine)

    def test_each_state(self) -> None:
        image = self.make_image()
        instance = self.make_instance()
        name = self.create(instance, image)

        def state() -> int:
            found = int(self.query.info(instance).state)
            self.assertEqual(found, self.query.workloads()[instance.uuid])
            return found
        self.assertEqual(power_state.SHUTDOWN, state())
        self.engine.start(name)
        self.assertEqual(power_state.RUNNING, state())
        self.engine.pause(name)
        self.assertEqual(power_state.PAUSED, state())
        self.engine.unpause(name)
        self.engine.stop(name, 0)
        self.assertEqual(power_state.SHUTDOWN, state())
        self.engine.remove(name)
        self.assertRaises(errors.EngineNotFound, self.query.info, instance)

    def test_one_that_is_half_built(self) -> None:
        """Nova must see it, so that it is cleaned up."""
        instance = self.make_instance()
        self.boxes.ensure(instance, [], [])
        self.assertIn(instance.uuid, self.query.uuids())
        self.assertNotIn(instance.uuid, self.query.workloads())

    def test_an_instance_is_listed_once(self) -> None:
        instance = self.run_workload(self.make_image())
        self.assertEqual(1, self.query.uuids().count(instance.uuid))

    def test_another_container_on_the_host(self) -> None:
        """It has no label of ours, whatever its name looks like."""
        other = str(uuid.uuid4())
        name = f'not-{names.workload(other)}'
        self.addCleanup(self.engine.remove, name)
        self.engine.create(name, {
            'Image': self.make_image(), 'Cmd': ['true'],
            'Labels': {'org.openstack.other': other},
            'HostConfig': {'NetworkMode': 'none'}})
        self.assertNotIn(other, self.query.uuids())
        self.assertNotIn(other, self.query.workloads())

    def test_an_images_own_labels_are_not_ours(self) -> None:
        """An image may carry labels, a snapshot of an instance does."""
        forged = str(uuid.uuid4())
        image = self.make_image(changes=[
            'CMD ["/bin/sh"]', f'LABEL {names.UUID}={forged} '
            f'{names.ROLE}={names.Role.SANDBOX}'])
        instance = self.run_workload(image)
        self.assertIn(instance.uuid, self.query.workloads())
        self.assertNotIn(forged, self.query.uuids())
