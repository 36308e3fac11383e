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

"""A cloud with hosts of another kind: Nova's fake driver on one of them."""

from __future__ import annotations

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services
from nova_docker.tests.hosts import places

#: What dockenstack calls the host, and its availability zone.
FAKE = 'fake'


class KindTestCase(base.CloudTestCase):
    alone = True

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.addClassCleanup(services.up)
        services.up('compute', '--with-fake')

    def test_each_image_goes_to_its_own(self) -> None:
        """To no other host, where the zone has none of its kind."""
        archive = archives.busybox()
        containers, others = (self.make.image(archive, img_hv_type=kind)
                              for kind in ('docker', FAKE))
        # Of Nova's default zone every host is.
        ours = self.make.zone(places.SECOND.name)
        for image, zone in ((containers, FAKE), (others, ours)):
            stranger = self.make.server(image, wait=['ERROR'],
                                        availability_zone=zone)
            self.assertIn('No valid host was found', stranger.fault())
        mine = self.make.server(containers, availability_zone=ours)
        self.assertEqual(places.SECOND, places.of(mine))
        theirs = self.make.server(others, availability_zone=FAKE)
        self.assertEqual(FAKE, clouds.connection('admin').compute.get_server(
            theirs.id).compute_host)
