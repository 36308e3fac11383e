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

"""What an engine's answer to ``GET /info`` means."""

import ddt

from nova_docker.engine import facts
from nova_docker.tests import base

_OWN = {'Driver': 'overlay2', 'DockerRootDir': '/srv/docker',
        'DriverStatus': [['Backing Filesystem', 'extfs'],
                         ['Supports d_type', 'true']]}
_STORE = {'Driver': 'overlayfs', 'DockerRootDir': '/srv/docker',
          'DriverStatus': [['driver-type', 'io.containerd.snapshotter.v1']]}


@ddt.ddt
class StoreTestCase(base.TestCase):
    def test_whose_the_images_are(self) -> None:
        self.assertFalse(facts.has_containerd_store(_OWN))
        self.assertFalse(facts.has_containerd_store({'DriverStatus': None}))
        self.assertTrue(facts.has_containerd_store(_STORE))

    @ddt.data((_OWN, '/srv/docker'), (_STORE, '/var/lib/containerd'))
    @ddt.unpack
    def test_where_the_root_disks_are(self, info: dict[str, object],
                                      expected: str) -> None:
        self.assertEqual(expected, facts.root_disks(info))
        for address in ('/run/containerd/containerd.sock',
                        '/var/run/containerd/containerd.sock'):
            self.assertEqual(expected, facts.root_disks(
                {**info, 'Containerd': {'Address': address}}))

    def test_an_engine_with_a_containerd_of_its_own(self) -> None:
        address = {'Address': '/var/run/docker/containerd/containerd.sock'}
        self.assertEqual('/srv/docker', facts.root_disks(
            {**_STORE, 'Containerd': address}))
