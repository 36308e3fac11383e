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

"""What the mount table says of a mount."""

from __future__ import annotations

import pathlib

import fixtures

from nova_docker.privsep import mounttable
from nova_docker.tests import base


class MountTestCase(base.TestCase):
    def test_a_device_that_is_mounted_by_a_link(self) -> None:
        """As mount(8) does with all that device mapper has made."""
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (directory / 'link').symlink_to('dm-0')
        mount = mounttable.Mount('/point', False, 'ext4',
                                 str(directory / 'link'), ('rw',))
        self.assertEqual(str(directory / 'dm-0'), mount.device)
