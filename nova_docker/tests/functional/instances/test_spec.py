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

"""Create arguments, judged by what the workload sees of them."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

import ddt
from nova.virt import hardware

from nova import objects
from nova_docker import cpuset
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker import topology

MIB = 1024 * 1024


def flavor(memory_mb: int = 64, vcpus: int = 1,
           **extra_specs: str) -> objects.Flavor:
    """Return a flavor; ``__`` in a key stands for its colon."""
    return tests.make_flavor(memory_mb=memory_mb, vcpus=vcpus, extra_specs={
        key.replace('__', ':'): value for key, value in extra_specs.items()})


class WorkloadTestCase(base.EngineTestCase):
    """What image and tenant ask for."""

    def test_the_images_command(self) -> None:
        instance = self.run_workload(self.make_image(
            changes=['ENTRYPOINT ["echo", "hello"]', 'CMD ["world"]']))
        self.wait_for_end(instance)
        self.assertEqual('hello world\n', self.log(instance))

    def test_the_tenants_command(self) -> None:
        image = self.make_image(
            changes=['ENTRYPOINT ["echo", "hello"]', 'CMD ["world"]'])
        self.assertEqual('hello /bin/sh -c true', self.output(image, 'true'))

    def test_the_tenants_entrypoint(self) -> None:
        image = self.make_image(
            changes=['ENTRYPOINT ["echo", "hello"]', 'CMD ["world"]'])
        for entrypoint, said in (('["echo", "good bye"]', 'good bye'),
                                 ('', 'seen')):
            metadata = {'docker:entrypoint': entrypoint,
                        'docker:command': 'echo seen'}
            if said != 'seen':
                del metadata['docker:command']
            instance = self.run_workload(image, metadata=metadata)
            self.wait_for_end(instance)
            self.assertEqual(said, self.log(instance).strip())

    def test_environment_directory_and_user(self) -> None:
        image = self.make_image(
            base.directory('srv', mode=0o777),
            base.Entry('etc/passwd', 'root:x:0:0::/root:/bin/sh\n'
                       'web:x:1000:1001::/srv:/bin/sh\n'),
            changes=['ENV A=image B=image', 'WORKDIR /tmp', 'USER root'])
        self.assertEqual(
            ['server', 'image', 'a b=c', '/srv', '1000', '1001'],
            self.output(
                image, 'echo "$A\n$B\n$C"; pwd; id -u; id -g',
                metadata={'docker:env:A': 'server', 'docker:env:C': 'a b=c',
                          'docker:workdir': '/srv', 'docker:user': 'web'},
                system_metadata={'image_docker_workdir': '/root'},
            ).splitlines())

    def test_a_terminal(self) -> None:
        image = self.make_image()
        self.assertEqual('/dev/pts/0', self.output(image, 'tty'))
        self.assertEqual('not a tty', self.output(
            image, 'tty', metadata={'docker:tty': 'no'}))

    def test_process_one(self) -> None:
        image = self.make_image()
        script = 'cat /proc/1/comm'
        self.assertIn('init', self.output(image, script))
        self.assertEqual('cat', self.output(
            image, f'exec {script}',
            system_metadata={'image_docker_init': 'no'}))

    def test_an_engine_without_docker_init(self) -> None:
        host = dataclasses.replace(self.host(), init=False)
        self.assertEqual('cat', self.output(
            self.make_image(), 'exec cat /proc/1/comm', host=host))

    def test_no_privileges_by_default(self) -> None:
        status = self.output(self.make_image(), 'cat /proc/self/status; '
                             'ls /dev')
        self.assertIn('CapEff:\t00000000a80425fb', status)
        self.assertIn('Seccomp:\t2', status)
        self.assertNotIn('vda', status)

    def test_a_user_that_is_not_there(self) -> None:
        error = self.assertRaises(
            errors.EngineError, self.run_workload, self.make_image(),
            metadata={'docker:user': 'nosuch'})
        self.assertIn('nosuch', error.message)

    def test_an_image_without_a_command(self) -> None:
        error = self.assertRaises(
            errors.EngineBadRequest, self.run_workload,
            self.make_image(changes=[]))
        self.assertIn('command', error.message)


class CpusetTestCase(base.EngineTestCase):
    """On which CPUs the processes of a workload run."""

    def setUp(self) -> None:
        super().setUp()
        *_rest, self.cpu = sorted(topology.online())

    def allowed(self, **fields: Any) -> tuple[str, str]:
        """Return the CPUs and memory nodes that the kernel lets it use."""
        status = self.output(self.make_image(), 'cat /proc/self/status',
                             **fields)
        lists = dict(line.split(':\t') for line in status.splitlines())
        return lists['Cpus_allowed_list'], lists['Mems_allowed_list']

    def pinned(self) -> objects.InstanceNUMATopology:
        return objects.InstanceNUMATopology(cells=[objects.InstanceNUMACell(
            id=0, cpuset=set(), pcpuset={0}, memory=64,
            cpu_pinning_raw={'0': self.cpu})])

    def test_all_by_default(self) -> None:
        self.assertEqual(topology.online(), hardware.parse_cpu_spec(
            self.allowed()[0]))

    def test_dedicated(self) -> None:
        self.assertEqual((str(self.cpu), '0'),
                         self.allowed(numa_topology=self.pinned()))

    def test_shared(self) -> None:
        self.flags(group='compute', cpu_shared_set=str(self.cpu))
        self.assertEqual(str(self.cpu), self.allowed()[0])

    def test_changed_while_it_runs(self) -> None:
        """What the engine is given for a resize sets free as well."""
        instance = self.run_workload(self.make_image())
        status = pathlib.Path(f"/proc/{self.state(instance)['Pid']}/status")
        for topology_of_it, expected in ((self.pinned(), {self.cpu}),
                                         (None, topology.online())):
            instance.numa_topology = topology_of_it
            self.engine.update(names.workload(instance.uuid), cpuset.change(
                instance, instance.flavor, self.host().cpus))
            found = re.search(r'Cpus_allowed_list:\t(.*)', status.read_text())
            assert found is not None
            self.assertEqual(expected, hardware.parse_cpu_spec(found[1]))


@ddt.ddt
class FlavorTestCase(base.EngineTestCase):
    """What the operator's flavor sets."""

    def cgroup(self, instance: objects.Instance, old: str, new: str) -> str:
        """Return a limit that the kernel has.

        :param old: controller and file in the first version of cgroups
        :param new: the file in the second
        """
        pid = self.state(instance)['Pid']
        root = pathlib.Path('/sys/fs/cgroup')
        controller = old.partition('/')[0]
        for line in pathlib.Path(f'/proc/{pid}/cgroup').read_text().split():
            number, controllers, path = line.split(':', 2)
            if controller in controllers.split(','):
                return (root / controller / path.lstrip('/') /
                        old.partition('/')[2]).read_text().strip()
            if number == '0' and (root / 'cgroup.controllers').exists():
                return (root / path.lstrip('/') / new).read_text().strip()
        raise LookupError(controller)

    def test_memory(self) -> None:
        instance = self.run_workload(self.make_image(), flavor=flavor(48))
        self.assertEqual(str(48 * MIB), self.cgroup(
            instance, 'memory/memory.limit_in_bytes', 'memory.max'))

    def test_memory_acts(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'exec tail /dev/zero', flavor=flavor(8))
        self.assertEqual(137, self.wait_for_end(instance))

    def test_swap(self) -> None:
        made = self.make_instance(tests.make_flavor(memory_mb=48, swap=16))
        found = self.engine.container(self.create(made, self.make_image()))
        self.assertEqual(64 * MIB, found['HostConfig']['MemorySwap'])

    @ddt.data(
        ({}, (2, 100000, 200000)),
        ({'quota:cpu_quota': '50000'}, (2, 100000, 50000)),
        ({'quota:cpu_period': '20000'}, (2, 20000, 40000)),
        ({'quota:cpu_quota': '-1'}, (2, 100000, -1)))
    @ddt.unpack
    def test_cpu(self, keys: dict[str, str],
                 expected: tuple[int, int, int]) -> None:
        vcpus, period, quota = expected
        instance = self.run_workload(self.make_image(), flavor=(
            tests.make_flavor(vcpus=vcpus, extra_specs=keys)))
        found = self.cgroup(instance, 'cpu/cpu.cfs_quota_us', 'cpu.max')
        self.assertIn(found, (str(quota), f'{quota} {period}',
                              f'max {period}' if quota < 0 else None))

    def test_cpu_shares(self) -> None:
        instance = self.run_workload(self.make_image(), flavor=flavor(
            quota__cpu_shares='262144'))
        self.assertIn(self.cgroup(instance, 'cpu/cpu.shares', 'cpu.weight'),
                      ('262144', '10000'))

    def test_processes(self) -> None:
        image = self.make_image()
        script = 'for n in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all'
        self.assertNotIn('all', self.output(
            image, script, flavor=flavor(docker__pids_limit='5')))
        few = dataclasses.replace(self.host(), pids_limit=5)
        self.assertNotIn('all', self.output(image, script, host=few))
        self.assertIn('all', self.output(
            image, script, host=few, flavor=flavor(docker__pids_limit='0')))

    def test_a_read_only_root(self) -> None:
        image = self.make_image()
        script = 'touch /file && echo written'
        self.assertIn('Read-only file system', self.output(
            image, script, flavor=flavor(docker__read_only='true')))
        self.assertEqual('written', self.output(image, script))

    def test_capabilities(self) -> None:
        self.assertIn('CapEff:\t00000000a80435fb', self.output(
            self.make_image(), 'cat /proc/self/status',
            flavor=flavor(docker__cap_add='NET_ADMIN')))
        self.assertIn('CapEff:\t0000000000000001', self.output(
            self.make_image(), 'cat /proc/self/status', flavor=flavor(
                docker__cap_drop='ALL', docker__cap_add='CHOWN')))

    def test_security_options(self) -> None:
        status = self.output(
            self.make_image(), 'cat /proc/self/status', flavor=flavor(
                docker__security_opt='seccomp=unconfined, no-new-privileges'))
        self.assertIn('Seccomp:\t0', status)
        self.assertIn('NoNewPrivs:\t1', status)

    def test_privileged(self) -> None:
        """Not started, since a test's machine may not have all privileges."""
        name = self.create(self.make_instance(
            flavor(docker__privileged='true')), self.make_image())
        self.assertTrue(self.engine.container(name)['HostConfig'][
            'Privileged'])

    def test_shared_memory(self) -> None:
        self.assertIn(' /dev/shm tmpfs', self.output(
            self.make_image(), 'cat /proc/mounts'))
        self.assertIn('size=3072k', self.output(
            self.make_image(), 'cat /proc/mounts',
            flavor=flavor(docker__shm_size='3')))

    def test_ulimits(self) -> None:
        self.assertEqual('64\n128', self.output(
            self.make_image(), 'ulimit -S -n; ulimit -H -n',
            flavor=flavor(docker__ulimit_nofile='64:128')))

    @ddt.data(('kernel.msgmax', '/proc/sys/kernel/msgmax'),
              ('net.core.somaxconn', '/proc/sys/net/core/somaxconn'))
    @ddt.unpack
    def test_sysctls(self, name: str, path: str) -> None:
        """The network's too, although the sandbox owns it."""
        self.assertEqual('1234', self.output(
            self.make_image(), f'cat {path}', flavor=tests.make_flavor(
                extra_specs={f'docker:sysctl_{name}': '1234'})))

    def test_devices(self) -> None:
        self.assertIn('cr', self.output(
            self.make_image(), 'ls -l /dev/other', flavor=flavor(
                docker__device_0='/dev/full:/dev/other:r')))

    def test_a_device_that_is_not_there(self) -> None:
        error = self.assertRaises(
            errors.EngineError, self.run_workload, self.make_image(),
            flavor=flavor(docker__device_0='/dev/nosuch'))
        self.assertIn('/dev/nosuch', error.message)

    def test_cpu_acts(self) -> None:
        """A twentieth of a CPU, and a loop that would take a whole one."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c', 'while :; do :; done',
            flavor=flavor(quota__cpu_quota='5000'))
        tests.wait_until(lambda: 'nr_throttled 0' not in self.cgroup(
            instance, 'cpu/cpu.stat', 'cpu.stat'), 'it is held back')

    @ddt.data(('read_bytes_sec', 'read_bps'), ('write_bytes_sec', 'write_bps'),
              ('total_bytes_sec', 'read_bps', 'write_bps'),
              ('read_iops_sec', 'read_iops'), ('write_iops_sec', 'write_iops'),
              ('total_iops_sec', 'read_iops', 'write_iops'))
    def test_disk_rates(self, kinds: tuple[str, ...]) -> None:
        key, *limits = kinds
        disk = tests.make_flavor(
            extra_specs={f'quota:disk_{key}': '1048576'})
        if self.host().block_device is None:
            self.assertRaises(errors.BadSetting, self.run_workload,
                              self.make_image(), flavor=disk)
            return
        instance = self.run_workload(self.make_image(), flavor=disk)
        for name in ('read_bps', 'write_bps', 'read_iops', 'write_iops'):
            found = self.cgroup(
                instance, f'blkio/blkio.throttle.{name}_device', 'io.max')
            # The second version of cgroups says rbps, and has all in one.
            version_2 = f'{name[0]}{name.partition("_")[2]}=1048576'
            self.assertEqual(name in limits, version_2 in found or
                             found.endswith(' 1048576'), name)

    def test_disk_rates_act(self) -> None:
        if self.host().block_device is None:
            self.skipTest('The disk of this engine is no block device.')
        said = self.output(
            self.make_image(), 'cat /proc/uptime; '
            'dd if=/dev/zero of=/file bs=64k count=32 oflag=direct; '
            'cat /proc/uptime',
            flavor=flavor(quota__disk_write_bytes_sec='1048576')).splitlines()
        began, ended = (float(said[line].split()[0]) for line in (0, -1))
        self.assertGreater(ended - began, 1)

    def test_runtime(self) -> None:
        instance = self.run_workload(self.make_image(), flavor=flavor(
            docker__runtime='runc'))
        self.assertEqual('runc', self.engine.container(
            names.workload(instance.uuid))['HostConfig']['Runtime'])
