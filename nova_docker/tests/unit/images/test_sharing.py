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

"""Which layers the engine has already."""

from typing import Any
from unittest import mock

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import sharing
from nova_docker.tests import base


class LayersTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.containers.return_value = []
        self.engine.image.side_effect = self._image
        self.images = {'one': ['a', 'b'], 'two': ['b', 'c']}
        self._list()
        self.layers = sharing.Layers(self.engine)

    def _list(self) -> None:
        self.engine.all_images.return_value = [
            {'Id': image} for image in self.images]

    def _image(self, reference: str) -> dict[str, Any]:
        try:
            return {'RootFS': {'Layers': self.images[reference]}}
        except KeyError:
            raise errors.EngineNotFound(reference) from None

    def test_what_an_image_has(self) -> None:
        self.assertTrue(self.layers.has_any(['x', 'c']))
        self.assertFalse(self.layers.has_any(['x', 'y']))

    def test_each_image_is_looked_at_once(self) -> None:
        self.layers.has_any(['x'])
        self.engine.image.reset_mock()
        self.images['three'] = ['d']
        self._list()
        self.assertTrue(self.layers.has_any(['d']))
        self.engine.image.assert_called_once_with('three')

    def test_an_image_that_went_is_forgotten(self) -> None:
        self.layers.has_any(['x'])
        del self.images['two']
        self._list()
        self.assertFalse(self.layers.has_any(['c']))

    def test_one_that_goes_meanwhile_is_no_obstacle(self) -> None:
        del self.images['two']
        self.assertTrue(self.layers.has_any(['a']))
        self.assertFalse(self.layers.has_any(['c']))

    def test_a_container_hides_the_layers_of_a_lost_image(self) -> None:
        self.engine.containers.return_value = [{'ImageID': 'lost'}]
        self.assertTrue(self.layers.has_any(['x']))
        self.engine.containers.return_value = [{'ImageID': 'one'}]
        self.assertFalse(self.layers.has_any(['x']))
