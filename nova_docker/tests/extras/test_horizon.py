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

"""A container's life in Horizon, from the list of images to its end."""

from __future__ import annotations

import uuid

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.extras import dashboard


class HorizonTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dashboard = dashboard.Dashboard(self.addCleanup)
        self.name = f'hello-{uuid.uuid4().hex[:4]}'
        self.snapshot_name = f'{self.name}-snapshot'

    def test_a_containers_life(self) -> None:
        path = clouds.home() / 'log' / 'horizon-test.png'
        with self.dashboard.pictured_if_it_fails(path):
            self.dashboard.log_in('demo')
            server = self._launched()
            self._use_console(server)
            self._make_snapshot(server)
            self._terminate(server)

    def _launched(self) -> servers.Server:
        self.addCleanup(self._delete)
        self.dashboard.launch('busybox', 'm1.nano', 'private', self.name,
                              "sh -c 'echo Hello from the form.; exec sh'")
        server = servers.Server(self.dashboard.is_active(self.name))
        [address] = server.addresses()
        clouds.wait_until(
            lambda: address in self.dashboard.instance(
                self.name).inner_text(), 'its address is in the list')
        return server

    def _delete(self) -> None:
        """Delete the instance and its snapshot, should they be there."""
        cloud = clouds.connection('demo')
        saved = cloud.image.find_image(self.snapshot_name)
        if saved:
            self.make.owned_image(saved.id)
        left = cloud.compute.find_server(self.name)
        if left:
            self.make.delete(servers.Server(left.id))

    def _use_console(self, server: servers.Server) -> None:
        self.dashboard.types(server.id, 'echo the answer is $((6 * 7))',
                             'the answer is 42')
        clouds.wait_until(
            lambda: self.dashboard.shows_log(
                server.id, 'Hello from the form.', 'the answer is 42'),
            'the log shows what the container wrote')
        self.dashboard.picture('log')

    def _make_snapshot(self, server: servers.Server) -> None:
        self.dashboard.snapshot(server.id, self.snapshot_name)
        made = clouds.connection('demo').image.find_image(
            self.snapshot_name, ignore_missing=False)
        self.assertEqual(('active', 'docker', server.id),
                         (made.status, made.container_format,
                          made.instance_uuid))
        self.dashboard.picture('images-with-snapshot')

    def _terminate(self, server: servers.Server) -> None:
        traces = host.Traces.of(server.id)
        self.dashboard.delete(self.name)
        clouds.wait_until(lambda: not traces.left(), 'nothing is left of it')
