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

"""Tests of nova_docker.instances.copies that need no engine."""

from unittest import mock

import ddt
import fixtures

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import copies
from nova_docker.tests import base


@ddt.ddt
class CopiesTestCase(base.TestCase):
    @ddt.data({'return_value': '/not/of/a/checkpoint'},
              {'side_effect': errors.EngineUnavailable('gone')})
    def test_a_failure_is_logged_with_what_to_do(
            self, path: dict[str, object]) -> None:
        engine: mock.Mock = mock.create_autospec(client.Engine, instance=True)
        engine.has_checkpoint.return_value = True
        engine.checkpoint_path.configure_mock(**path)
        log = self.useFixture(fixtures.FakeLogger())
        copies.forget(engine, 'box')
        self.assertIn('Remove ctrd-checkpoint*', log.output)
        engine.remove_checkpoint.assert_called_once_with('box')
