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

"""The kernel's account of a machine that the tests do not run on."""

from __future__ import annotations

import pathlib
import tempfile

import fixtures

from nova_docker import topology


#: Before any test puts another in their place.
_REAL = {name: getattr(topology, name) for name in ('_CPUS', '_NODES')}


class Machine(fixtures.Fixture):
    """The kernel's account of the machine that this runs on."""

    def _setUp(self) -> None:
        for name, path in _REAL.items():
            self.useFixture(fixtures.MonkeyPatch(
                f'{topology.__name__}.{name}', path))


class Kernel(fixtures.Fixture):
    """Eight CPUs: two nodes of two cores of two threads, as 0 and 4.

    :param nodes: False for a kernel that knows of no NUMA
    """

    def __init__(self, nodes: bool = True) -> None:
        super().__init__()
        self._with_nodes = nodes

    def _setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.cpus = pathlib.Path(home.name, 'cpu')
        self.nodes = pathlib.Path(home.name, 'node')
        self.write(self.cpus / 'online', '0-7')
        for cpu in range(8):
            about = self.cpus / f'cpu{cpu}' / 'topology'
            self.write(about / 'thread_siblings_list',
                       f'{cpu % 4},{cpu % 4 + 4}')
            self.write(about / 'physical_package_id', f'{cpu % 4 // 2}')
        if self._with_nodes:
            self._make_nodes()
        for name, path in (('_CPUS', self.cpus), ('_NODES', self.nodes)):
            self.useFixture(fixtures.MonkeyPatch(
                f'{topology.__name__}.{name}', path))

    def _make_nodes(self) -> None:
        self.write(self.nodes / 'online', '0-1')
        for node, cpus in enumerate(('0-1,4-5', '2-3,6-7')):
            about = self.nodes / f'node{node}'
            self.write(about / 'cpulist', cpus)
            self.write(about / 'meminfo',
                       f'Node {node} MemTotal:       4194304 kB\n'
                       f'Node {node} MemFree:        1000000 kB')

    @staticmethod
    def write(path: pathlib.Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{text}\n')
