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


"""What is done to one of the hosts ends nothing else."""

from __future__ import annotations

import json
import os
import pathlib

import fixtures

from nova_docker.tests import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services
from nova_docker.tests.hosts import places


class PowerTestCase(base.TestCase):
    def test_a_number_of_another_process(self) -> None:
        """All processes of the machine are in our network namespace."""
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (home / 'etc').mkdir()
        (home / 'etc/docker-2.json').write_text(
            json.dumps({'cgroup-parent': 'nobody'}))
        for module, name, result in ((clouds, 'home', home),
                                     (services, 'main_process', os.getpid())):
            self.useFixture(fixtures.MockPatchObject(
                module, name, autospec=True, return_value=result))
        self.useFixture(fixtures.MockPatchObject(
            os, 'kill', autospec=True,
            side_effect=AssertionError('a process would be killed')))
        self.assertRaises(RuntimeError, places.cut_power)
