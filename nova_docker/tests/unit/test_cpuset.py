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

"""Which CPUs and memory nodes an instance may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova import objects
from nova_docker import cpuset
from nova_docker import errors
from nova_docker.tests import base

HOST = cpuset.Host(online=frozenset(range(8)), shared=frozenset({0, 4}),
                   nodes={0: frozenset({0}), 1: frozenset({4})})
OPEN = cpuset.Host(online=frozenset(range(8)), nodes={
    0: frozenset(range(4)), 1: frozenset(range(4, 8))})


def cell(node: int, pinning: Mapping[int, int] | None = None,
         floating: set[int] | None = None) -> objects.InstanceNUMACell:
    """Return a part of an instance as the resource tracker has placed it."""
    pinning = pinning or {}
    return objects.InstanceNUMACell(
        id=node, cpuset=floating or set(), pcpuset=set(pinning), memory=64,
        cpu_pinning_raw={str(vcpu): cpu for vcpu, cpu in pinning.items()})


def config(*cells: objects.InstanceNUMACell, host: cpuset.Host = HOST,
           **extra_specs: str) -> dict[str, Any]:
    flavor = base.make_flavor(extra_specs={
        f'hw:{key}': value for key, value in extra_specs.items()})
    return cpuset.config(instance(*cells), flavor, host)


def instance(*cells: objects.InstanceNUMACell) -> objects.Instance:
    return base.make_instance(numa_topology=cells and objects
                              .InstanceNUMATopology(cells=list(cells)) or None)


class CpusetTestCase(base.TestCase):
    def test_free(self) -> None:
        self.assertEqual({}, config(host=OPEN))

    def test_shared(self) -> None:
        self.assertEqual({'CpusetCpus': '0,4'}, config())

    def test_pinned(self) -> None:
        self.assertEqual(
            {'CpusetCpus': '2-3', 'CpusetMems': '0'},
            config(cell(0, {0: 2, 1: 3}), cpu_policy='dedicated'))

    def test_pinned_on_two_nodes(self) -> None:
        self.assertEqual(
            {'CpusetCpus': '1,5', 'CpusetMems': '0-1'},
            config(cell(0, {0: 1}), cell(1, {1: 5})))

    def test_mixed(self) -> None:
        self.assertEqual(
            {'CpusetCpus': '0,2', 'CpusetMems': '0'},
            config(cell(0, {0: 2}, {1}), cpu_policy='mixed'))

    def test_on_a_node_without_cpus_of_its_own(self) -> None:
        self.assertEqual({'CpusetCpus': '4-7', 'CpusetMems': '1'},
                         config(cell(1, None, {0, 1}), host=OPEN))

    def test_set_free(self) -> None:
        self.assertEqual(
            {'CpusetCpus': '0-7', 'CpusetMems': '0-1'},
            cpuset.change(instance(), base.make_flavor(), OPEN))
        self.assertEqual(
            {'CpusetCpus': '2', 'CpusetMems': '0'},
            cpuset.change(instance(cell(0, {0: 2})), base.make_flavor(),
                          OPEN))

    def test_emulator_threads(self) -> None:
        given = instance(cell(0, {0: 2}))
        given.numa_topology.emulator_threads_policy = 'share'
        cpuset.config(given, base.make_flavor(), HOST)
        given.numa_topology.emulator_threads_policy = 'isolate'
        error = self.assertRaises(errors.BadSetting, cpuset.config, given,
                                  base.make_flavor(), HOST)
        self.assertIn('hw:emulator_threads_policy', str(error))

    def test_real_time(self) -> None:
        config(cpu_realtime='no')
        error = self.assertRaises(errors.BadSetting, config,
                                  cpu_realtime='yes')
        self.assertIn('hw:cpu_realtime', str(error))
