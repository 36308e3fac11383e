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

"""Who waits for a root volume."""

from __future__ import annotations

import os
import subprocess

import fixtures
from oslotest import base

from nova_docker import privsep
from nova_docker.privsep import pivot


class WaitingTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            privsep.root_pctxt, 'client_mode', False))

    def test_one_that_has_ended(self) -> None:
        """First nobody has taken note of that, and then somebody has."""
        process = subprocess.Popen(['true'])
        self.addCleanup(process.wait)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(pivot.is_waiting(process.pid, '/'))
        process.wait()
        self.assertFalse(pivot.is_waiting(process.pid, '/'))

    def test_one_that_runs(self) -> None:
        self.assertTrue(pivot.is_waiting(os.getpid(), '/'))
        self.assertFalse(pivot.is_waiting(os.getpid(), '/.root'))
