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

"""What the tests of the checks of a host share."""

from __future__ import annotations

import pathlib
import sys

from oslo_upgradecheck import upgradecheck

from nova_docker.cmd import hostfacts
from nova_docker.cmd import outcome
from nova_docker.cmd import status
from nova_docker.tests.functional import base

GOOD = upgradecheck.Code.SUCCESS
DOUBTFUL = upgradecheck.Code.WARNING
BAD = upgradecheck.Code.FAILURE
CONTEXTS = hostfacts._contexts()


def privsep_helper(*arguments: str) -> str:
    """Return the command of privsep's helper, for this process's modules."""
    helper = pathlib.Path(sys.executable).with_name('privsep-helper')
    return ' '.join(['env', f'PYTHONPATH={":".join(sys.path)}', str(helper),
                     *arguments])


class StatusTestCase(base.EngineTestCase):
    """A test that asks one check or another what it finds."""

    def setUp(self) -> None:
        super().setUp()
        self.commands = status.Commands()

    def expect(self, code: upgradecheck.Code, found: outcome.Result,
               *words: str) -> None:
        """Fail unless a check came to this, and says these words."""
        details = str(found.details)
        self.assertEqual(code, found.code, details)
        for word in words:
            self.assertIn(word, details)
        self.assertTrue(details.endswith('.'), details)
