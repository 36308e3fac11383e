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

"""The benchmarks, once through; their figures are for who reads them."""

from __future__ import annotations

import os
import subprocess

import ddt

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import services
from nova_docker.tests import guides

#: By program: what makes it short, and how it says whether the goal is met.
_SHORT = {
    'bench/spawn': ('--count 1 --at-once 1 --rounds 1',
                    'for one spawn: (reached|MISSED)'),
    'bench/image': ('--count 1 --size 5', r'(?s)boot .*snapshot .*: \w'),
    'bench/root-volume': ('--count 1', 'data after .*: kept'),
    'bench/boot': ('--count 1 --at-once 1 --rounds 1',
                   'for one boot: (reached|MISSED)'),
}
#: What the page has typed for the host that one of them takes.
_HOST = 'contrib/dockenstack/up --with-fake'
_TYPED = [each.text for each in guides.typed(guides.BENCHMARKS)]


@ddt.ddt
class BenchmarksTestCase(base.CloudTestCase):
    alone = True

    @ddt.data(*(each for each in _TYPED if each != _HOST))
    def test(self, command: str) -> None:
        options, verdict = _SHORT[command]
        if _HOST in _TYPED[:_TYPED.index(command)]:
            self.addCleanup(services.up)
            status, said, _notes = self.run_shell(_HOST)
            self.assertEqual(0, status, said)
        before = self.belongings()
        status, said, complaints = self.run_shell(f'{command} {options}')
        self.assertEqual('', complaints)
        # No goal is for a machine that does something else as well.
        self.assertIn(status, (0, 1))
        self.assertRegex(said, verdict)
        self.assertEqual(before, self.belongings())

    def test_help(self) -> None:
        for name in ('boot', 'image', 'root-volume', 'spawn'):
            self.assertEqual((0, ''), self.run_shell(
                f'bench/{name} --help')[::2], name)

    @staticmethod
    def run_shell(command: str) -> tuple[int, str, str]:
        ran = subprocess.run(
            ['sh', '-c', command], cwd=guides.SOURCE, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, 'DOCKENSTACK_HOME': os.fspath(clouds.home())})
        return ran.returncode, ran.stdout, ran.stderr

    @staticmethod
    def belongings() -> tuple[set[str], ...]:
        """Return what the engine and Glance have."""
        containers = host.engine().containers.list(all=True)
        images = clouds.connection('admin').image.images()
        return (set(host.tags()), {each.id for each in containers},
                {each.id for each in images})
