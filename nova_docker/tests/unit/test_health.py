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

"""The compute service's state, in step with the engine's."""

from __future__ import annotations

from typing import Any
from unittest import mock

import ddt
from nova.objects import service as service_objects

from nova import exception
from nova import objects
from nova_docker import health
from nova_docker.tests import base
from nova_docker.tests import nova_api

_UUID = '0a1b2c3d-0000-4000-8000-0123456789ab'


@ddt.ddt
class HealthTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.saved: list[dict[str, Any]] = []
        self.virtapi = nova_api.VirtAPI()
        self.health = health.Health(
            lambda: 'host', self.virtapi.update_compute_provider_status)

        def save(service: objects.Service) -> None:
            self.saved.append({
                key: value for key, value in service.obj_get_changes().items()
                if key.startswith('disabled')})
        self.patch(service_objects.Service, 'save', save)

    def serve(self, disabled: bool, reason: str | None) -> None:
        """Let this host's service have a state."""
        service = objects.Service(
            disabled=disabled, disabled_reason=reason, host='host',
            compute_node=objects.ComputeNode(uuid=_UUID))
        service.obj_reset_changes()
        finder = mock.patch.object(objects.Service, 'get_by_compute_host',
                                   autospec=True, return_value=service)
        finder.start()
        self.addCleanup(finder.stop)

    def test_heard_after_its_first_report(self) -> None:
        service = objects.Service(report_count=7)
        self.patch(objects.Service, 'get_by_compute_host',
                   mock.create_autospec(
                       objects.Service.get_by_compute_host,
                       side_effect=[exception.ComputeHostNotFound(host='host'),
                                    service, service,
                                    objects.Service(report_count=8)]))
        self.assertEqual([False, False, False, True],
                         [self.health.is_heard() for _ in range(4)])

    def test_lost(self) -> None:
        self.serve(False, None)
        self.health.lost('no word')
        self.assertEqual([{
            'disabled': True,
            'disabled_reason': 'AUTO: Docker Engine: no word'}], self.saved)
        self.assertEqual([False], self.virtapi.enabled)

    def test_found(self) -> None:
        self.serve(True, 'AUTO: Docker Engine: no word')
        self.health.found()
        self.assertEqual([{'disabled': False, 'disabled_reason': None}],
                         self.saved)
        self.assertEqual([True], self.virtapi.enabled)

    @ddt.data((False, None), (True, 'AUTO: Connection to libvirt lost'),
              (True, 'broken disk'), (True, None))
    @ddt.unpack
    def test_found_is_no_reason_to_change(self, disabled: bool,
                                          reason: str | None) -> None:
        self.serve(disabled, reason)
        self.health.found()
        self.assertEqual(([], []), (self.saved, self.virtapi.enabled))

    @ddt.data('AUTO: Docker Engine: no word', 'broken disk', None)
    def test_lost_is_no_reason_to_change(self, reason: str | None) -> None:
        """Above all, an operator's own reason stays."""
        self.serve(True, reason)
        self.health.lost('again')
        self.assertEqual(([], []), (self.saved, self.virtapi.enabled))

    def test_a_long_reason(self) -> None:
        self.serve(False, None)
        self.health.lost('x' * 1000)
        self.assertEqual(255, len(self.saved[0]['disabled_reason']))

    def test_nobody_to_tell(self) -> None:
        """The first start is before the host is known to Nova."""
        for error in (exception.ComputeHostNotFound(host='host'),
                      LookupError('no database')):
            with mock.patch.object(
                    objects.Service, 'get_by_compute_host', autospec=True,
                    side_effect=error):
                self.health.lost('no word')
                self.health.found()
