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
from typing import Any

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
        """Nova's window ends with the last whole second before the asking.

        See ``InstanceList.get_active_by_window_joined``: a server that was
        launched in the very second is not in it yet.
        """
        server = self.make.server()
        used, whole = clouds.wait_until(
            lambda: self._usage_of(server.id), 'the usage names the server')
        self.assertEqual(('m1.nano', 64, 1, 1, None), tuple(
            used[key] for key in ('flavor', 'memory_mb', 'vcpus', 'local_gb',
                                  'ended_at')))
        self.assertGreater(used['hours'], 0)
        self.assertGreater(whole['total_memory_mb_usage'], 0)

    @staticmethod
    def _usage_of(server: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """What Nova says of a server, and of its whole project."""
        demo = clouds.connection('demo')
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        hour = datetime.timedelta(hours=1)
        whole = demo.compute.get(
            f'/os-simple-tenant-usage/{demo.current_project_id}',
            params={'detailed': '1', 'start': (now - hour).isoformat(),
                    'end': (now + hour).isoformat()}).json()['tenant_usage']
        for used in whole.get('server_usages', []):
            if used['instance_id'] == server:
                return used, whole
        return None
