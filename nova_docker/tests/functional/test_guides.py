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

"""A stage's tests run by hand as their page says."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest

from nova_docker.tests.functional import base
from nova_docker.tests import guides


class ByHandTestCase(unittest.TestCase):
    def test(self) -> None:
        [command] = guides.typed(guides.TESTING)
        path = f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'
        ran = subprocess.run(
            ['sh', '-c', command.text.replace(
                'unix:///var/run/docker.sock', base.engine_url())],
            cwd=guides.SOURCE, env={**os.environ, 'PATH': path}, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.assertEqual(0, ran.returncode, ran.stdout)
        self.assertRegex(ran.stdout, r'(?s)Ran [1-9].*\nOK\n')
