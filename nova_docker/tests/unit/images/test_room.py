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

"""Tests of nova_docker.images.room."""

from unittest import mock

import fixtures

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import room
from nova_docker.privsep import trees
from nova_docker.tests import base

_GIB = 2 ** 30


class RoomTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.container.return_value = {'State': {'Pid': 7}}
        self.trees = self.useFixture(fixtures.MockPatchObject(
            trees, 'archived', autospec=True, return_value=1024)).mock

    def test_there_is_some_more_than_it_looked(self) -> None:
        self.assertEqual(1024 + 256 * 1024, room.needed(self.engine, 'name'))
        self.engine.container.assert_called_once_with('name')
        self.trees.assert_called_once_with(7)

    def test_the_more_there_is_the_more_may_change(self) -> None:
        self.trees.return_value = _GIB
        self.assertEqual(_GIB + 4 * 2 ** 20 + 256 * 1024,
                         room.needed(self.engine, 'name'))

    def test_there_is_never_much_more(self) -> None:
        self.trees.return_value = 1024 * _GIB
        self.assertEqual(1024 * _GIB + 8 * 2 ** 20 + 256 * 1024,
                         room.needed(self.engine, 'name'))

    def test_it_is_always_whole_blocks(self) -> None:
        self.trees.return_value = 600 * 2 ** 20 + 512
        size = room.needed(self.engine, 'name')
        assert size is not None
        self.assertEqual(0, size % 512)

    def test_what_does_not_run_is_not_known(self) -> None:
        self.engine.container.return_value = {'State': {'Pid': 0}}
        self.assertIsNone(room.needed(self.engine, 'name'))
        self.trees.assert_not_called()

    def test_too_many_files_are_not_known(self) -> None:
        self.trees.return_value = None
        self.assertIsNone(room.needed(self.engine, 'name'))

    def test_no_failure_counts(self) -> None:
        self.trees.side_effect = ProcessLookupError
        self.assertIsNone(room.needed(self.engine, 'name'))
        self.engine.container.side_effect = errors.EngineUnavailable('')
        self.assertIsNone(room.needed(self.engine, 'name'))
