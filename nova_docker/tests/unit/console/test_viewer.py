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

"""A viewer that reads, one that does not, and one that goes."""

from __future__ import annotations

import socket

from nova_docker.console import viewer
from nova_docker.tests import base


class ViewerTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 100.0
        with socket.create_server(('127.0.0.1', 0)) as listener:
            self.far = socket.create_connection(listener.getsockname())
            near, _address = listener.accept()
        self.addCleanup(self.far.close)
        self.viewer = viewer.Viewer(near, lambda: self.now)
        self.addCleanup(self.viewer.close)

    def overwhelm(self) -> None:
        while self.viewer.deadline is None:
            self.viewer.show(b'x' * 65536)

    def test_seen_at_once(self) -> None:
        self.viewer.show(b'hello')
        self.assertEqual(b'hello', self.far.recv(100))
        self.assertFalse(self.viewer.is_behind)

    def test_typed(self) -> None:
        self.assertEqual(b'', self.viewer.typed())
        self.far.sendall(b'ls\n')
        self.assertEqual(b'ls\n', base.wait_until(self.viewer.typed, 'typed'))
        self.assertFalse(self.viewer.is_lost)

    def test_gone(self) -> None:
        self.far.close()
        base.wait_until(lambda: (self.viewer.typed(), self.viewer.is_lost)[1],
                        'the viewer is gone')

    def test_one_that_takes_nothing_is_lost(self) -> None:
        self.overwhelm()
        self.now += viewer.PATIENCE / 2
        self.viewer.flush()
        self.assertFalse(self.viewer.is_lost)
        self.now += viewer.PATIENCE / 2
        self.assertTrue(self.viewer.is_lost)

    def test_one_that_goes_on_is_not(self) -> None:
        self.overwhelm()
        self.now += viewer.PATIENCE / 2

        def has_room() -> bool:
            self.far.recv(65536)
            self.viewer.flush()
            return self.viewer.deadline is None
        base.wait_until(has_room, 'there is room again')
        self.now += viewer.PATIENCE
        self.assertFalse(self.viewer.is_lost)
