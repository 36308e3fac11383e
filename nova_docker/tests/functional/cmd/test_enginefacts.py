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

"""What is right and wrong with an engine."""

from __future__ import annotations

from typing import Any

import ddt
import fixtures

from nova_docker.cmd import status
from nova_docker import resources
from nova_docker.tests.functional.cmd import checks
from nova_docker.tests.functional.cmd import engines
from nova_docker.tests.functional import proxy


@ddt.ddt
class EngineTest(checks.StatusTestCase):
    def altered(self, **changes: Any) -> status.Commands:
        """Let the engine say other things; return checks of it."""
        version = {**self.engine.version(), **changes}
        info = {**self.engine.info(), **changes}
        self.flags(group='docker', url=self.useFixture(
            engines.Engine(version, info)).url)
        return status.Commands()

    def test_it_answers(self) -> None:
        self.expect(checks.GOOD, self.commands.engine(),
                    self.engine.version()['Version'])
        self.expect(checks.GOOD, self.commands.access())
        self.expect(checks.GOOD, self.commands.cpus())

    def test_there_is_none(self) -> None:
        self.flags(group='docker', url='unix:///nowhere/docker.sock')
        self.expect(checks.BAD, self.commands.access(), '/nowhere/docker.sock')
        for check in (self.commands.engine, self.commands.control_groups,
                      self.commands.storage, self.commands.init):
            self.expect(checks.BAD, check(), 'does not answer')

    def test_it_hangs(self) -> None:
        self.useFixture(fixtures.MockPatchObject(status, '_PATIENCE', 1))
        wire = self.useFixture(proxy.Proxy(self.url))
        self.flags(group='docker', url=wire.url)
        wire.hang()
        self.expect(checks.BAD, self.commands.engine(), 'does not answer')

    def test_it_is_too_old(self) -> None:
        self.expect(checks.BAD, self.altered(
            ApiVersion='1.40', Version='19.03.15').engine(),
            '19.03.15', '20.10')

    def test_limits(self) -> None:
        info = self.engine.info()
        complete = all(info[field] for field in (
            'MemoryLimit', 'CpuCfsQuota', 'SwapLimit', 'PidsLimit', 'CPUSet'))
        self.expect(checks.GOOD if complete else checks.DOUBTFUL,
                    self.commands.control_groups(), info['CgroupVersion'])

    @ddt.data(('MemoryLimit', 'memory'), ('CpuCfsQuota', 'CPUs'))
    @ddt.unpack
    def test_no_limit_of_what_a_flavor_has(self, field: str,
                                           word: str) -> None:
        self.expect(checks.BAD, self.altered(
            **{field: False}).control_groups(), word)

    @ddt.data(('SwapLimit', 'swap'), ('PidsLimit', 'processes'),
              ('CPUSet', 'pinning'))
    @ddt.unpack
    def test_no_limit_of_something_else(self, field: str, word: str) -> None:
        self.expect(checks.DOUBTFUL, self.altered(
            **{field: False}).control_groups(), word)

    def test_storage(self) -> None:
        info = self.engine.info()
        enforced = resources.has_disk_quota(info)
        self.expect(checks.GOOD if enforced else checks.DOUBTFUL,
                    self.commands.storage(), info['Driver'])
        self.expect(checks.GOOD, self.altered(Driver='btrfs').storage(),
                    'btrfs')
        self.expect(checks.DOUBTFUL, self.altered(Driver='vfs').storage(),
                    'vfs', 'overlay2')

    @ddt.data('overlayfs', 'btrfs', 'zfs')
    def test_the_containerd_image_store(self, snapshotter: str) -> None:
        self.flags(group='docker', data_path='/srv/containerd')
        self.expect(checks.DOUBTFUL, self.altered(
            Driver=snapshotter, DriverStatus=[
                ['driver-type', 'io.containerd.snapshotter.v1']]).storage(),
            'containerd-snapshotter', '/srv/containerd')

    def test_init(self) -> None:
        found = self.commands.init()
        self.expect(checks.GOOD if resources.has_init(self.engine.info())
                    else checks.DOUBTFUL, found, 'init')
        self.expect(checks.DOUBTFUL, self.altered(
            InitCommit={'ID': 'N/A'}).init(), 'docker-init', 'init-path')

    def test_cpus_that_no_server_can_have(self) -> None:
        self.flags(group='compute', cpu_dedicated_set='4094')
        self.expect(checks.BAD, self.commands.cpus(), 'cpu_dedicated_set')
        self.flags(group='compute', cpu_dedicated_set='0')
        self.expect(checks.BAD, self.altered(CPUSet=False).cpus(), 'cpuset')
