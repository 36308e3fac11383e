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

"""What the guides and --help say of the commands is what these do."""

import pathlib

from oslotest import base

import nova_docker
from nova_docker.cmd import status

_GUIDE = (pathlib.Path(nova_docker.__file__).parents[1]
          / 'doc' / 'source' / 'admin' / 'index.rst')


class StatusTestCase(base.BaseTestCase):
    def test_the_guide_tells_of_every_check(self) -> None:
        guide = _GUIDE.read_text()
        positions = [guide.find(f'   * - {name}\n')
                     for name, _check in status.Commands._upgrade_checks]
        self.assertEqual(sorted(positions), positions)
        self.assertNotIn(-1, positions)
