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

from concurrent import futures
import threading
import types
from typing import Any
from unittest import mock

import fixtures

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


class LoadTest(base.TestCase):
    """Loads at the same time."""

    def setUp(self) -> None:
        super().setUp()
        engine = mock.create_autospec(client.Engine, instance=True)
        engine.all_images.return_value = engine.containers.return_value = []
        self.layers = sharing.Layers(engine)

    def assert_unproven(self, *digests: str) -> None:
        with self.layers.load(hashed=False) as admit:
            self.assertRaises(sharing.Unproven, admit, digests)

    def test_one_does_not_believe_a_layer_of_another(self) -> None:
        for hashed in (True, False):
            with self.layers.load(hashed) as admit:
                admit(['a', 'b'])
                self.assert_unproven('x', 'b')
                with self.layers.load(hashed=False) as third:
                    third(['x', 'c'])

    def test_one_that_has_ended_is_no_obstacle(self) -> None:
        self.assertRaises(ZeroDivisionError, self._fail)
        for _ in range(2):
            with self.layers.load(hashed=False) as admit:
                admit(['a'])

    def _fail(self) -> None:
        with self.layers.load(hashed=False) as admit:
            admit(['a'])
            raise ZeroDivisionError

    def test_one_that_is_only_suspected_is_no_obstacle_for_long(self) -> None:
        with self.layers.load(hashed=True) as admit:
            admit(['a'])
            self.assert_unproven('a', 'b')
            with self.layers.load(hashed=False) as other:
                other(['b'])

    def test_hashed_ones_overlap(self) -> None:
        with self.layers.load(hashed=True) as one, \
                self.layers.load(hashed=True) as other:
            one(['a'])
            other(['a'])

    def test_a_hashed_one_waits_for_what_could_take_from_it(self) -> None:
        waiting = threading.Event()

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waiting.set()
                return super().wait(timeout)

        # Not in threading itself, whose threads wait for events, too.
        self.useFixture(fixtures.MockPatchObject(
            sharing, 'threading', types.SimpleNamespace(Event=Event)))
        order = []

        def load() -> None:
            with self.layers.load(hashed=True) as admit:
                admit(['b', 'c'])
                order.append('hashed')

        with futures.ThreadPoolExecutor(1) as pool:
            with self.layers.load(hashed=False) as admit:
                admit(['a', 'b'])
                outcome = pool.submit(load)
                self.assertTrue(waiting.wait(base.PATIENCE))
                # Nor does it wait for one that comes after it.
                self.assert_unproven('c')
                order.append('not hashed')
            outcome.result(base.PATIENCE)
        self.assertEqual(['not hashed', 'hashed'], order)
