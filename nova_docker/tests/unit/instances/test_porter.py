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

"""Only what never ran, and what Nova has given up, is removed."""

from __future__ import annotations

import threading
from unittest import mock

from nova_docker.engine import client
from nova_docker.instances import porter
from nova_docker import names
from nova_docker.rootvolume import entry
from nova_docker.tests import base
from nova_docker.volumes import whole

_SERVERS = [f'server-{number}' for number in range(3 * porter.HANDS)]


class ManyTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)
        self.looked: list[str] = []
        starts: mock.Mock = mock.create_autospec(entry.Entry, instance=True)
        starts.is_waiting.side_effect = self._look
        engine: mock.Mock = mock.create_autospec(client.Engine, instance=True)
        engine.containers.return_value = [
            {'State': 'running',
             'Labels': {names.WORKDIR: '/', names.UUID: server}}
            for server in _SERVERS]
        self.porter = porter.Porter(
            engine, starts, mock.create_autospec(whole.Volumes, instance=True))

    def _look(self, name: str) -> bool:
        self.looked.append(name)
        self.go_on.wait(base.PATIENCE)
        return False

    def test_few_are_looked_at_at_a_time(self) -> None:
        """Each once, however often the engine comes back meanwhile."""
        for _time in range(2):
            self.porter.found()
        base.wait_until(lambda: len(self.looked) == porter.HANDS,
                        'as many are looked at as may be')
        self.assertEqual(porter.HANDS, _threads())
        self.go_on.set()
        base.wait_until(lambda: _threads() == 0, 'all were looked at')
        for server in _SERVERS[porter.HANDS:]:
            self.assertEqual(
                1, self.looked.count(names.workload(server)), server)


def _threads() -> int:
    return sum(thread.name == 'root-volume'
               for thread in threading.enumerate())
