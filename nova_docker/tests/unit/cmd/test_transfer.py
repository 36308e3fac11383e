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

"""Names of engine images."""

import ddt
from glance.common import utils as glance_utils

from nova_docker.cmd import imageservice
from nova_docker.cmd import transfer
from nova_docker.images import limits
from nova_docker import names
from nova_docker.tests import base


@ddt.ddt
class ReferenceTestCase(base.TestCase):
    @ddt.data(('web', 'web:latest'), ('web:1.2', 'web:1.2'),
              ('team/web:A_b', 'team/web:A_b'),
              ('registry.example.org:5000/web',
               'registry.example.org:5000/web:latest'),
              ('registry.example.org:5000/team/web:1',
               'registry.example.org:5000/team/web:1'),
              ('registry.example.org/nova-docker/gate:1',
               'registry.example.org/nova-docker/gate:1'))
    @ddt.unpack
    def test_tag(self, reference: str, expected: str) -> None:
        self.assertEqual(expected, transfer.tagged(reference))

    @ddt.data(('web', 'web'), ('web:1.2', 'web-1.2'),
              ('registry.example.org:5000/team/web:1',
               'registry.example.org-5000/team/web-1'),
              ('web@sha256:00', 'web@sha256-00'))
    @ddt.unpack
    def test_a_name_that_glance_finds(self, reference: str,
                                      expected: str) -> None:
        found = imageservice.findable(reference)
        self.assertEqual(expected, found)
        self.assertEqual(('eq', found), glance_utils.split_filter_op(found))

    @ddt.data('', 'Web', 'my image', 'web:', ':1', '-web', 'web:a b',
              'web@sha256:00', 'a:b:c')
    def test_no_reference(self, reference: str) -> None:
        self.assertRaises(limits.Unacceptable, transfer.tagged, reference)

    @ddt.data(names.SANDBOX_IMAGE, names.GATE_IMAGE, 'nova-docker/any',
              names.image_reference('7'), f'docker.io/{names.SANDBOX_IMAGE}',
              f'index.docker.io/{names.GATE_IMAGE}')
    def test_the_drivers_own(self, reference: str) -> None:
        error = self.assertRaises(limits.Unacceptable, transfer.tagged,
                                  reference)
        self.assertIn('only the driver', error.reason)
