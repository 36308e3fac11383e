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

"""What operators read: how long a host is up, and who used what."""

from __future__ import annotations

import datetime

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds


class FiguresTestCase(base.CloudTestCase):
    def test_how_long_the_host_is_up(self) -> None:
        """In the words of uptime(1)."""
        [found] = clouds.connection('admin').compute.get(
            '/os-hypervisors/detail?hypervisor_hostname_pattern=dockenstack',
            microversion='2.88').json()['hypervisors']
        self.assertEqual('docker', found['hypervisor_type'])
        self.assertRegex(
            found['uptime'],
            r'^ [\d:]{8} up (\d+ days?, )?\d+:\d\d, load average: ')

    def test_what_a_project_used(self) -> None:
        demo = clouds.connection('demo')
        server = self.make.server()
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        hour = datetime.timedelta(hours=1)
        found = demo.compute.get(
            f'/os-simple-tenant-usage/{demo.current_project_id}',
            params={'detailed': '1', 'start': (now - hour).isoformat(),
                    'end': (now + hour).isoformat()}).json()['tenant_usage']
        [used] = [each for each in found['server_usages']
                  if each['instance_id'] == server.id]
        self.assertEqual(('m1.nano', 64, 1, 1, None), tuple(
            used[key] for key in ('flavor', 'memory_mb', 'vcpus', 'local_gb',
                                  'ended_at')))
        self.assertGreater(used['hours'], 0)
        self.assertGreater(found['total_memory_mb_usage'], 0)
