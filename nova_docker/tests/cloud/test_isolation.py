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

"""No tenant's image takes over another image, and nobody else's container."""

from __future__ import annotations

from nova_docker import names
from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host


class TagTestCase(base.CloudTestCase):
    def test_an_archive_moves_no_name(self) -> None:
        victim = clouds.image_id('busybox')
        self.make.server()  # Now the engine has the victim's image.
        coveted = [names.image_reference(victim), names.SANDBOX_IMAGE]
        before = {tag: host.tags()[tag] for tag in coveted}
        image_id = self.make.image(archives.busybox(
            ['echo', 'the other image'],
            tags=[*coveted, 'attacker/own:latest']))
        attacker = self.make.server(image_id)
        self.assertEqual('the other image', attacker.printed())
        after = host.tags()
        self.assertEqual(before, {tag: after[tag] for tag in coveted})
        self.assertNotIn('attacker/own:latest', after)
        self.assertIn(names.image_reference(image_id), after)


class NeighbourTestCase(base.CloudTestCase):
    def test_other_containers_are_left_alone(self) -> None:
        image = clouds.image_id('busybox')
        self.make.server()
        other = host.engine().containers.run(
            names.image_reference(image), ['sleep', '3600'], detach=True,
            init=True, name='nova-neighbour')
        self.addCleanup(other.remove, force=True)
        self.make.delete(self.make.server())
        other.reload()
        self.assertEqual('running', other.status)
