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

"""Whether devices, and the files that they are, answer."""

from __future__ import annotations

from nova_docker.privsep import blocks
from nova_docker.tests.functional.volumes import base


class AnswersTestCase(base.VolumesTestCase):
    def test_a_device_and_its_file(self) -> None:
        self.assertTrue(blocks.is_answering(self.make_volume().device))

    def test_its_file_does_not_answer(self) -> None:
        """The device would say nothing of it while it has pages of it."""
        volume, empty = self.make_volume(), self.directory / 'empty'
        empty.touch()
        base.run('mount', '--bind', empty, volume.file)
        self.addCleanup(base.run, 'umount', volume.file)
        self.assertFalse(blocks.is_answering(volume.device))

    def test_its_file_is_somewhere_else(self) -> None:
        """As in another mount namespace, it can't be asked."""
        volume = self.make_volume()
        volume.file.unlink()
        self.assertTrue(blocks.is_answering(volume.device))
