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

"""Tests of nova_docker.engine.failures that need no engine."""

from nova_docker.engine import failures
from nova_docker import errors
from nova_docker.tests import base


class MayPassTestCase(base.TestCase):
    def test_what_failed_below_the_engine(self) -> None:
        busy = errors.EngineError('OCI runtime pause failed: unable to freeze',
                                  500)
        self.assertTrue(failures.may_pass(busy))

    def test_what_would_fail_again(self) -> None:
        for error in (errors.EngineConflict('not running', 409),
                      errors.EngineNotFound('none', 404),
                      errors.EngineUnavailable('gone'), ValueError()):
            self.assertFalse(failures.may_pass(error), error)
