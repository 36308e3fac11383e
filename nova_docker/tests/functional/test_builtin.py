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

"""Images that the driver builds itself, in a real engine."""

from __future__ import annotations

import platform
import uuid

from nova_docker import builtin
from nova_docker import elf
from nova_docker.network import sandbox
from nova_docker.tests.functional import base


class BuiltinTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reference = f'nova-docker-test/builtin:{uuid.uuid4()}'
        self._images.append(self.reference)
        self.program = sandbox.executable(platform.machine())

    def ensure(self) -> str:
        """Have the image; return its id."""
        image = builtin.Image(self.engine, self.reference, '/pause', '/pipe')
        self.assertEqual(self.reference, image.ensure(self.program))
        found = self.engine.image(self.reference)
        self.assertEqual(['/pause'], found['Config']['Entrypoint'])
        self.assertLess(found['Size'], 1024)
        return str(found['Id'])

    def test_it_is_built_once(self) -> None:
        self.assertEqual(self.ensure(), self.ensure())

    def test_another_image_loses_its_name(self) -> None:
        other = self.make_image()
        self.engine.tag_image(other, self.reference)
        self.assertNotEqual(self.engine.image(other)['Id'], self.ensure())

    def test_another_command_in_the_same_files(self) -> None:
        archive = elf.archive({'pause': self.program}, ['pipe'])
        self.engine.import_image([archive], self.reference,
                                 ['ENTRYPOINT ["/other"]'])
        # It has no name in the end.
        self._images.append(self.engine.image(self.reference)['Id'])
        self.ensure()
