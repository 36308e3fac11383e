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

"""What a spawn does side by side, on a real engine."""

from __future__ import annotations

from typing import Any
from unittest import mock

from nova.network import model

from nova import context
from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests import nova_api


class OverlapTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.images = mock.create_autospec(store.Store, instance=True)
        self.instance = self.make_instance()
        self.ports = model.NetworkInfo([model.VIF(
            network=model.Network(subnets=[]))])
        self.spawn = spawn.Spawn(
            self.engine, self.images, self.network, self.workloads,
            self.attached, self.make_destroy(),
            nova_api.VirtAPI(), self.roots)

    def run_spawn(self) -> None:
        self.spawn(context.get_admin_context(), self.instance,
                   objects.ImageMeta(), configdrive.Details(self.ports),
                   power_on=True)

    def exists(self) -> bool:
        """Tell whether the workload is in the engine."""
        try:
            return bool(self.state(self.instance))
        except errors.EngineNotFound:
            return False

    def test_the_workload_is_made_while_the_network_is(self) -> None:
        def connect(*_arguments: Any) -> None:
            tests.wait_until(self.exists, 'the workload is made meanwhile')
        self.wires.connect.side_effect = connect
        self.images.ensure.return_value = self.make_image()
        self.run_spawn()
        self.assertTrue(self.state(self.instance)['Running'])

    def test_a_failure_is_undone_when_the_other_part_is_done(self) -> None:
        done = []

        def fail(*_arguments: Any) -> None:
            tests.wait_until(lambda: 'connecting' in done, 'it connects')
            done.append('failing')
            raise exception.ImageUnacceptable(image_id='7', reason='no')

        def connect(*_arguments: Any) -> None:
            done.append('connecting')
            tests.wait_until(lambda: 'failing' in done, 'the other fails')
            done.append('connected')

        self.images.ensure.side_effect = fail
        self.wires.connect.side_effect = connect
        self.wires.unplug.side_effect = lambda *_: done.append('unplugged')
        self.assertRaises(exception.ImageUnacceptable, self.run_spawn)
        self.assertEqual(
            ['connecting', 'failing', 'connected', 'unplugged'], done)
        self.assertEqual([], self.engine.containers(
            [f'{names.UUID}={self.instance.uuid}']))
