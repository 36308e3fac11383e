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

"""Names of engine images, and of what they replace."""

from collections.abc import Iterable
from collections.abc import Iterator
from unittest import mock

import ddt
import fixtures
from glance.common import utils as glance_utils
from openstack import exceptions

from nova_docker.cmd import contents
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


def unseen(label: str, total: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Report no progress."""
    return iter(pieces)


@ddt.ddt
class ReplacedTestCase(base.TestCase):
    @ddt.data((exceptions.NotFoundException('gone'), ''),
              (exceptions.ForbiddenException('policy'), 'policy'))
    @ddt.unpack
    def test_what_can_not_be_hidden(self, error: Exception,
                                    said: str) -> None:
        """What was pushed is in Glance all the same, and told."""
        service = mock.create_autospec(imageservice.ImageService,
                                       instance=True)
        service.pushed.return_value = [
            {'id': 'old', 'name': 'web', imageservice.IDENTITY: 'sha256:0'}]
        service.send.return_value = {'id': 'new', 'name': 'web'}
        service.change.side_effect = error
        log = self.useFixture(fixtures.FakeLogger())
        content = contents.Content('sha256:1', 'docker', 'x86_64', 1, 1,
                                   lambda: iter([b'1']), True)
        self.assertEqual(('new', True), transfer.push(
            content, service, 'web', {}, unseen))
        service.change.assert_called_once_with(
            service.pushed.return_value[0], {'os_hidden': True})
        self.assertIn(said, log.output)
        self.assertEqual(bool(said), 'old' in log.output)
