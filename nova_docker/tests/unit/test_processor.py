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

"""The host's processors, as the kernel tells of them."""

from __future__ import annotations

import pathlib
import tempfile
from types import SimpleNamespace

import ddt
from nova.compute.monitors.cpu import virt_driver
from nova import objects
import os_traits

from nova_docker import driver
from nova_docker import processor
from nova_docker.tests import base
from nova_docker.tests import nova_api
from nova_docker.tests.unit import kernel

STAT = """\
cpu  1000 200 300 40000 50 6 7 8 9 0
cpu0 1 2 3 4 5 6 7 8 9 0
intr 1
"""
CPUINFO = """\
processor\t: 0
flags\t\t: fpu sse2 pni ssse3 sse4_1 fma avx512_vnni svm aes bmi1 hypervisor
cpu MHz\t\t: 2596.096
processor\t: 1
cpu MHz\t\t: 3100.5
"""


class ProcessorTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(kernel.Kernel())
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        for name, text in (('_STAT', STAT), ('_CPUINFO', CPUINFO)):
            path = self.home / name
            path.write_text(text)
            self.patch(processor, name, path)
        self.patch(processor, '_CPUFREQ', self.home)


class StatisticsTestCase(ProcessorTestCase):
    def test_nanoseconds(self) -> None:
        tick = 10 ** 7  # A hundredth of a second, on every Linux.
        self.assertEqual(
            {'user': 1200 * tick, 'kernel': 313 * tick, 'idle': 40000 * tick,
             'iowait': 50 * tick, 'frequency': 3100}, processor.statistics())

    def test_frequency(self) -> None:
        (self.home / '_CPUINFO').write_text('processor : 0\n')
        self.assertEqual(0, processor.statistics()['frequency'])
        (self.home / 'cpuinfo_max_freq').write_text('2400000\n')
        self.assertEqual(2400, processor.statistics()['frequency'])

    def test_novas_monitor_takes_them(self) -> None:
        self.flags(compute_driver='docker.DockerDriver')
        host = driver.DockerDriver(nova_api.VirtAPI())
        monitor = virt_driver.Monitor(SimpleNamespace(driver=host))
        metrics = objects.MonitorMetricList(objects=[])
        monitor.populate_metrics(metrics)
        found = {metric.name: metric.value for metric in metrics.objects}
        self.assertEqual(set(monitor.get_metric_names()), set(found))
        self.assertEqual((3100, 96), (found['cpu.frequency'],
                                      found['cpu.idle.percent']))


@ddt.ddt
class TraitsTestCase(ProcessorTestCase):
    def held(self, architecture: str) -> set[str]:
        return {name for name, held in processor.traits(architecture).items()
                if held}

    def test_x86(self) -> None:
        self.assertEqual(
            {'COMPUTE_ARCH_X86_64', 'HW_ARCH_X86_64',
             'HW_CPU_HYPERTHREADING', 'HW_CPU_X86_SSE2', 'HW_CPU_X86_SSE3',
             'HW_CPU_X86_SSSE3', 'HW_CPU_X86_SSE41', 'HW_CPU_X86_FMA3',
             'HW_CPU_X86_AVX512VNNI', 'HW_CPU_X86_AESNI', 'HW_CPU_X86_BMI'},
            self.held('x86_64'))

    def test_another(self) -> None:
        self.assertEqual(
            {'COMPUTE_ARCH_AARCH64', 'HW_ARCH_AARCH64',
             'HW_CPU_HYPERTHREADING'}, self.held('aarch64'))

    @ddt.data(*processor._ALIASES.values())
    def test_aliases_lead_to_traits(self, name: str) -> None:
        self.assertIn(f'HW_CPU_X86_{name}', os_traits.get_traits())
