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

"""CPUs and NUMA nodes, and what Nova makes of them."""

from __future__ import annotations

import ddt
from nova.virt import hardware

from nova import exception
from nova import objects
from nova_docker.tests import base
from nova_docker.tests.unit import kernel
from nova_docker import topology


class TopologyTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.kernel = self.useFixture(kernel.Kernel())
        self.divide(None, None)

    def divide(self, shared: str | None, dedicated: str | None) -> None:
        self.flags(group='compute', cpu_shared_set=shared,
                   cpu_dedicated_set=dedicated)


@ddt.ddt
class SetsTestCase(TopologyTestCase):
    def test_all_are_shared_by_default(self) -> None:
        self.kernel.write(self.kernel.cpus / 'online', '0-3,6')
        self.assertEqual({0, 1, 2, 3, 6}, topology.shared())
        self.assertEqual(frozenset(), topology.dedicated())
        self.assertFalse(topology.is_divided())
        topology.check()

    def test_divided(self) -> None:
        self.divide('0,4', '1-3,5-7,^6')
        self.assertEqual({0, 4}, topology.shared())
        self.assertEqual({1, 2, 3, 5, 7}, topology.dedicated())
        self.assertTrue(topology.is_divided())
        topology.check()

    def test_dedicated_only(self) -> None:
        self.divide(None, '1-3')
        self.assertEqual(frozenset(), topology.shared())

    @ddt.data((None, '6-9', 'cpu_dedicated_set has CPUs 8-9'),
              ('0,8', None, 'cpu_shared_set has CPUs 8'),
              ('0-3', '3-5', 'in common'),
              (None, '3-x', 'cpu_dedicated_set: '),
              ('1,^1', None, 'cpu_shared_set: '))
    @ddt.unpack
    def test_refused(self, shared: str | None, dedicated: str | None,
                     reason: str) -> None:
        self.divide(shared, dedicated)
        error = self.assertRaises(exception.InvalidConfiguration,
                                  topology.check)
        self.assertIn(reason, str(error))

    def test_a_cpu_that_is_offline(self) -> None:
        self.divide(None, '2-3')
        topology.check()
        self.kernel.write(self.kernel.cpus / 'online', '0-2,4-7')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  topology.check)
        self.assertIn('CPUs 3, which are not online on this host; 0-2,4-7 ',
                      str(error))

    def test_options_that_mean_nothing_beside_them(self) -> None:
        self.flags(reserved_host_cpus=1)
        topology.check()
        self.divide('0', None)
        error = self.assertRaises(exception.InvalidConfiguration,
                                  topology.check)
        self.assertIn('reserved_host_cpus', str(error))
        self.flags(reserved_host_cpus=0, vcpu_pin_set='1')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  topology.check)
        self.assertIn('vcpu_pin_set', str(error))


class CellsTestCase(TopologyTestCase):
    def test_cells(self) -> None:
        self.divide('0,4', '1-3,5-6')
        first, second = topology.numa().cells
        self.assertEqual((0, 1), (first.id, second.id))
        self.assertEqual((0, 1), (first.socket, second.socket))
        self.assertEqual(({0, 4}, {1, 5}), (first.cpuset, first.pcpuset))
        self.assertEqual((set(), {2, 3, 6}),
                         (second.cpuset, second.pcpuset))
        self.assertEqual([{0, 4}, {1, 5}], first.siblings)
        self.assertEqual([{2, 6}, {3}], second.siblings)
        self.assertEqual(4096, first.memory)
        [page] = first.mempages
        self.assertEqual(4096 * 1024, page.total * page.size_kb)

    def test_a_kernel_without_nodes(self) -> None:
        self.useFixture(kernel.Kernel(nodes=False))
        [cell] = topology.numa().cells
        self.assertEqual((0, set(range(8)), None),
                         (cell.id, cell.cpuset, cell.socket))
        self.assertGreater(cell.memory, 0)

    def test_networks(self) -> None:
        self.flags(group='neutron_tunnel', numa_nodes=[1])
        self.assertEqual(
            [False, True],
            [cell.network_metadata.tunneled for cell in topology.numa().cells])

    def test_hyperthreading(self) -> None:
        self.assertTrue(topology.has_hyperthreading())
        self.kernel.write(self.kernel.cpus / 'online', '0-3')
        self.assertFalse(topology.has_hyperthreading())

    def test_what_containers_are_confined_to(self) -> None:
        found = topology.cpus()
        self.assertIsNone(found.shared)
        self.assertEqual({0: {0, 1, 4, 5}, 1: {2, 3, 6, 7}}, found.nodes)
        self.divide('0,4,6', '1')
        found = topology.cpus()
        self.assertEqual({0, 4, 6}, found.shared)
        self.assertEqual({0: {0, 4}, 1: {6}}, found.nodes)
        self.divide(None, '1')
        self.assertIsNone(topology.cpus().shared)

    def test_the_machine_that_this_runs_on(self) -> None:
        """Not a faked one: the files are there, and Nova takes them."""
        self.useFixture(kernel.Machine())
        cells = topology.numa().cells
        self.assertEqual(topology.online(),
                         set().union(*(cell.cpuset for cell in cells)))
        self.assertTrue(all(cell.memory >= 0 for cell in cells))


@ddt.ddt
class FitTestCase(TopologyTestCase):
    """Nova's own code places instances on what the driver reports."""

    def setUp(self) -> None:
        super().setUp()
        self.divide('0,4', '1-3,5-7')

    def place(self, vcpus: int = 2, **extra_specs: str
              ) -> objects.InstanceNUMATopology | None:
        flavor = base.make_flavor(vcpus=vcpus, extra_specs={
            f'hw:{key}': value for key, value in extra_specs.items()})
        wanted = hardware.numa_get_constraints(
            flavor, objects.ImageMeta(properties=objects.ImageMetaProps()))
        return hardware.numa_fit_instance_to_host(
            topology.numa(), wanted, {})

    def pinned(self, **extra_specs: str) -> set[int]:
        fitted = self.place(2, **extra_specs)
        assert fitted is not None
        return {cpu for cell in fitted.cells
                for cpu in cell.cpu_pinning.values()}

    def test_dedicated(self) -> None:
        cpus = self.pinned(cpu_policy='dedicated')
        self.assertEqual(2, len(cpus))
        self.assertLessEqual(cpus, {1, 2, 3, 5, 6, 7})

    def test_threads_of_one_core(self) -> None:
        cpus = self.pinned(cpu_policy='dedicated',
                           cpu_thread_policy='require')
        self.assertEqual(1, len({cpu % 4 for cpu in cpus}))

    def test_no_threads(self) -> None:
        """Nova gives this to hosts only that have none."""
        asked = {'cpu_policy': 'dedicated', 'cpu_thread_policy': 'isolate'}
        self.assertIsNone(self.place(2, **asked))
        self.kernel.write(self.kernel.cpus / 'online', '0-3')
        self.divide('0-1', '2-3')
        self.assertEqual({2, 3}, self.pinned(**asked))

    def test_more_than_a_node_has(self) -> None:
        fitted = self.place(6, cpu_policy='dedicated')
        self.assertIsNone(fitted)
        self.assertIsNotNone(self.place(4, cpu_policy='dedicated',
                                        numa_nodes='2'))

    @ddt.data(('small', True), ('large', False), ('2MB', False))
    @ddt.unpack
    def test_pages(self, size: str, fits: bool) -> None:
        """A container has no huge ones."""
        self.assertIs(fits, self.place(mem_page_size=size) is not None)

    def test_none_are_dedicated(self) -> None:
        self.divide(None, None)
        self.assertIsNone(self.place(cpu_policy='dedicated'))
