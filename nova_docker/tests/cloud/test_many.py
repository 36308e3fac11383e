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

"""Many servers at a time: distinct addresses, one download of their image."""

from __future__ import annotations

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import workbench

_COUNT = 8


class ManyTestCase(base.CloudTestCase):
    def _boot(self, image_id: str) -> list[servers.Server]:
        """Ask for all of them in one request."""
        name = workbench.new_name()
        compute = clouds.connection('demo').compute
        first = self.make.server(image_id, wait=(), name=name,
                                 min_count=_COUNT, max_count=_COUNT)
        found = [servers.Server(each.id)
                 for each in compute.servers(name=name)]
        for each in found:
            if each.id != first.id:
                self.addCleanup(self.make.delete, each)
        return found

    def test_eight_in_one_request(self) -> None:
        image_id = self.make.image(archives.busybox(
            ['sh', '-c', 'ip -4 -o address show eth0; cat']))
        booted = self._boot(image_id)
        self.assertEqual(_COUNT, len(booted))
        for each in booted:
            each.wait_for('ACTIVE')
        self.assertEqual(_COUNT, len({
            address for each in booted for address in each.addresses()}))
        for each in booted:
            self.assertIn(f'inet {each.addresses()[0]}/24',
                          each.wait_for_console('inet'))
        log = (clouds.home() / 'log' / 'nova-compute.log').read_text(
            errors='replace')
        self.assertEqual(1, log.count(f'Fetching image {image_id}'))
