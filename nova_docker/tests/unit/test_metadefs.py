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

"""What Glance tells users about the keys that the driver knows."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from nova_docker import settings
from nova_docker.tests import base

_METADEFS = pathlib.Path(__file__).parents[3] / 'etc' / 'glance' / 'metadefs'


def _properties(of: str) -> dict[str, Any]:
    path = _METADEFS / f'compute-docker-{of}.json'
    return dict(json.loads(path.read_text())['properties'])


class MetadefsTestCase(base.TestCase):
    """They are of every key that does not end in a name of one's choice."""

    def test_images(self) -> None:
        self.assertCountEqual(settings._IMAGE, _properties('image'))

    def test_servers(self) -> None:
        self.assertCountEqual(settings._METADATA, _properties('server'))

    def test_flavors(self) -> None:
        self.assertCountEqual(settings._FLAVOR, _properties('flavor'))
