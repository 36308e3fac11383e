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

"""A workload's own /proc, and what becomes of it without LXCFS."""

from __future__ import annotations

import os
import pathlib
import re

import fixtures
from nova.network import model

from nova import exception
from nova import objects
from nova_docker.instances import procfiles
from nova_docker.instances import query
from nova_docker import names
from nova_docker import privsep
from nova_docker.privsep import proc
from nova_docker import spec
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import lxcfs

KIB = 1024


class WorkloadTestCase(base.EngineTestCase):
    """An LXCFS of its own."""

    def setUp(self) -> None:
        super().setUp()
        # This process is root's and does what the daemon would.
        self.useFixture(fixtures.MockPatchObject(
            privsep.proc_pctxt, 'client_mode', False))
        self.lxcfs = self.useFixture(lxcfs.Lxcfs())
        self.flags(group='docker', lxcfs='auto', lxcfs_path=self.lxcfs.path)
        self.image = self.make_image()

    def watch(self) -> None:
        watcher = procfiles.ProcFiles(self.engine, query.Query(self.engine))
        self.addCleanup(watcher.stop)
        watcher.start()

    def read(self, instance: objects.Instance, name: str = 'meminfo') -> str:
        """Read a file of a workload's /proc as its processes do.

        LXCFS goes by the control group of who reads.
        """
        _code, found = self.engine.run(
            names.workload(instance.uuid), ['/bin/cat', f'/proc/{name}'])
        return found.decode()

    def memory(self, instance: objects.Instance) -> int:
        """Return MiB of memory that a workload sees; 0 if it can't."""
        found = re.search(r'MemTotal: *(\d+) kB', self.read(instance))
        return int(found[1]) // KIB if found else 0

    def wait_for_memory(self, instance: objects.Instance, size: int) -> None:
        tests.wait_until(lambda: self.memory(instance) == size,
                         f'the container sees {size} MiB')

    def renew(self, instance: objects.Instance) -> list[str]:
        found: list[str] = proc.renew(
            self.state(instance)['Pid'], f'{self.lxcfs.path}/proc',
            [os.path.basename(name) for name in spec.LXCFS_FILES])
        return found

    def host_memory(self) -> int:
        return int(self.engine.info()['MemTotal'] // 2 ** 20)


class ProcFilesTestCase(WorkloadTestCase):
    """What a server sees."""

    def test_its_own(self) -> None:
        instance = self.run_workload(self.image)
        self.assertEqual(64, self.memory(instance))
        self.assertEqual(1, self.read(instance, 'cpuinfo').count('processor'))
        self.assertEqual([], self.renew(instance))

    def test_its_own_load(self) -> None:
        """Its processes are counted, and no others, as soon as LXCFS looks."""
        instance = self.run_workload(self.image)
        host = pathlib.Path('/proc/loadavg').read_text()

        def tasks(load: str) -> int:
            return int(load.split()[3].partition('/')[2])
        self.assertGreater(tasks(host), 9)
        tests.wait_until(
            lambda: 0 < tasks(self.read(instance, 'loadavg')) <= 9,
            'its load is that of a few processes')

    def test_it_follows_a_change_of_the_flavor(self) -> None:
        instance = self.run_workload(self.image)
        flavor = tests.make_flavor(memory_mb=128)
        self.engine.update(names.workload(instance.uuid),
                           spec.changed_limits(instance, flavor, self.host()))
        self.wait_for_memory(instance, 128)

    def test_running_ones_get_a_new_lxcfs(self) -> None:
        instance, paused = (self.run_workload(self.image) for _ in range(2))
        self.engine.pause(names.workload(paused.uuid))
        self.watch()
        for end in (self.lxcfs.kill, self.lxcfs.die):
            end()
            self.assertEqual(0, self.memory(instance))
            self.lxcfs.start()
            self.wait_for_memory(instance, 64)
            # They are renewed one after the other.
            tests.wait_until(lambda: not any(
                'not connected' in self.read(instance, os.path.basename(path))
                for path in spec.LXCFS_FILES), 'all files are renewed')
        self.engine.unpause(names.workload(paused.uuid))
        self.wait_for_memory(paused, 64)

    def test_nothing_piles_up(self) -> None:
        instance = self.run_workload(self.image)
        count = self.read(instance, 'self/mountinfo').count('fuse.lxcfs')
        self.assertEqual(len(spec.LXCFS_FILES), count)
        for _ in range(2):
            self.lxcfs.kill()
            self.lxcfs.start()
            self.assertEqual(len(spec.LXCFS_FILES), len(self.renew(instance)))
            self.assertEqual([], self.renew(instance))
        self.assertEqual(
            count, self.read(instance, 'self/mountinfo').count('fuse.lxcfs'))

    def test_one_restarted_while_nobody_watched(self) -> None:
        instance = self.run_workload(self.image)
        self.lxcfs.kill()
        self.lxcfs.start()
        self.watch()
        self.wait_for_memory(instance, 64)

    def test_a_start_while_it_is_away(self) -> None:
        """The host's figures meanwhile, its own as soon as it is back."""
        instance = self.run_workload(self.image)
        name = names.workload(instance.uuid)
        self.watch()
        for end in (self.lxcfs.kill, self.lxcfs.die):
            self.engine.stop(name, 0)
            end()
            self.make_power().on(instance, model.NetworkInfo())
            self.assertEqual(self.host_memory(), self.memory(instance))
            self.lxcfs.start()
            self.wait_for_memory(instance, 64)

    def test_made_and_started_while_it_is_away(self) -> None:
        self.lxcfs.kill()
        instance = self.run_workload(self.image)
        self.watch()
        self.lxcfs.start()
        self.wait_for_memory(instance, 64)

    def test_it_is_required(self) -> None:
        self.flags(group='docker', lxcfs='required')
        instance = self.run_workload(self.image)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.lxcfs.kill()
        error = self.assertRaises(
            exception.HypervisorUnavailable, self.make_power().on,
            instance, model.NetworkInfo())
        self.assertIn(self.lxcfs.path, str(error))
        self.lxcfs.start()
        self.make_power().on(instance, model.NetworkInfo())
        self.assertEqual(64, self.memory(instance))

    def test_a_container_without_its_files_gets_none(self) -> None:
        self.flags(group='docker', lxcfs='off')
        instance = self.run_workload(self.image)
        self.assertEqual([], self.renew(instance))
        self.assertEqual(self.host_memory(), self.memory(instance))


class PrivilegeTestCase(WorkloadTestCase):
    """What the privileged function does not do."""

    def test_the_hosts_own_files(self) -> None:
        self.assertRaises(ValueError, proc.renew, os.getpid(),
                          f'{self.lxcfs.path}/proc', ['uptime'])
        self.assertRaises(ValueError, proc.renew, 1,
                          f'{self.lxcfs.path}/proc', ['uptime'])

    def test_other_sources_and_names(self) -> None:
        instance = self.run_workload(self.image)
        pid = self.state(instance)['Pid']
        self.assertRaises(ValueError, proc.renew, pid, '/proc', ['uptime'])
        self.assertRaises(ValueError, proc.renew, pid,
                          f'{self.lxcfs.path}/proc', ['../uptime'])

    def test_a_process_that_is_gone(self) -> None:
        instance = self.run_workload(self.image)
        pid = self.state(instance)['Pid']
        self.engine.stop(names.workload(instance.uuid), 0)
        self.assertRaises(ProcessLookupError, proc.renew, pid,
                          f'{self.lxcfs.path}/proc', ['uptime'])

    def test_a_container_that_has_changed_its_mounts(self) -> None:
        """It may, with this capability: and what it made is left alone."""
        flavor = tests.make_flavor(extra_specs={
            'docker:cap_add': 'SYS_ADMIN',
            'docker:security_opt': 'apparmor=unconfined'})
        instance = self.run_workload(
            self.make_image(base.directory('srv')), flavor=flavor)
        script = ('busybox mount -t tmpfs none /srv && '
                  'busybox umount /proc/uptime && '
                  'busybox mount -t tmpfs none /proc && '
                  'busybox ln -s /srv/x /proc/uptime')
        code, said = self.engine.run(names.workload(instance.uuid),
                                     ['/bin/sh', '-c', script])
        self.assertEqual((0, b''), (code, said))
        self.lxcfs.kill()
        self.lxcfs.start()
        self.assertRaises(ValueError, self.renew, instance)
