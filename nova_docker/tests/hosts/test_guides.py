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

"""The guide's session with two compute hosts, of which one is lost."""

from __future__ import annotations

from nova_docker.tests.cloud import services
from nova_docker.tests.extras import session
from nova_docker.tests import guides
from nova_docker.tests.hosts import places


class GuidesTestCase(session.SessionTestCase):
    def setUp(self) -> None:
        super().setUp()
        # Wherever the page ends, both hosts are there for what comes next.
        self.addCleanup(self.have_both_hosts)

    def have_both_hosts(self) -> None:
        self.power_on()
        for place in (places.FIRST, places.SECOND):
            places.set_service(place, forced_down=False)
            places.set_service(place, status='enabled')

    @staticmethod
    def power_on() -> None:
        services.up('second-host')

    def test(self) -> None:
        self.type_page(guides.HOSTS, 'admin', events={
            'dockenstack-2 loses its power': places.cut_power,
            'dockenstack-2 has power again': self.power_on})
        for name in self.likeness.here.values():
            for place in (places.FIRST, places.SECOND):
                places.wait_until_clear(place, name)
