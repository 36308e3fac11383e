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

"""Suspend, rescue, resize, rebuild, shelve and more, from the inside."""

from __future__ import annotations

import pathlib

from openstack import exceptions
from oslo_utils import units
import paramiko

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host

_PASSWORD = 'Not-a-secret-1'
#: Its number in capabilities(7).
_CAP_SYS_TIME = 25


class ActionsTestCase(base.ServerTestCase):
    """One server, which every test leaves as it was: running."""

    preparation = 'echo precious > /root/data; sync'

    def setUp(self) -> None:
        super().setUp()
        self.addresses = self.server.addresses()

    def _assert_same_server(self) -> None:
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self.assertEqual(self.addresses, self.server.addresses())
        self.assertIn(self.addresses[0],
                      self.guest.run('ip -o address show eth0'))

    def _memory(self) -> int:
        """Return the MiB of memory that the server sees."""
        kib = self.guest.run("awk '/^MemTotal/ {print $2}' /proc/meminfo")
        return int(kib) * units.Ki // units.Mi

    def test_suspend_and_resume(self) -> None:
        before = self.guest.again().run('echo $PPID')
        self.server.suspend()
        self.assertFalse(self.guest.is_reachable())
        self.server.resume()
        # The very processes go on, and so does the connection.
        self.assertEqual(before, self.guest.run('echo $PPID'))
        self._assert_same_server()

    def test_rescue_and_unrescue(self) -> None:
        self.server.rescue()
        self.guest.again()
        self.assertIn(self.addresses[0],
                      self.guest.run('ip -o address show eth0'))
        self.assertEqual('precious',
                         self.guest.run('cat /rescue/root/data'))
        self.guest.run('test ! -e /root/data && '
                       'echo mended > /rescue/root/mended')
        self.server.unrescue()
        self._assert_same_server()
        self.assertEqual('mended', self.guest.run('cat /root/mended'))
        self.guest.run('test ! -e /rescue/root')

    def test_rescue_with_an_image_of_the_users_own(self) -> None:
        self.server.rescue(self.make.image(archives.ssh(
            {'etc/whose': b"the user's"})))
        self.assertEqual("the user's", self.guest.again().run(
            'cat /etc/whose'))
        self.assertEqual('precious', self.guest.run(
            'test ! -e /rescue/etc/whose && cat /rescue/root/data'))
        self.guest.run('echo mended > /rescue/root/by-the-user')
        self.server.unrescue()
        self._assert_same_server()
        self.assertEqual('mended', self.guest.run(
            'test ! -e /etc/whose && cat /root/by-the-user'))

    def _swap(self) -> int:
        """Return the MiB of swap that the server may use.

        Where the host has less, /proc/swaps inside shows no more than that.
        The first version of cgroups counts swap and memory together.
        """
        limit, *memory = (int(each) // units.Mi for each in self.guest.run(
            'cd /sys/fs/cgroup; if [ -e memory.swap.max ]; '
            'then cat memory.swap.max; else cd memory; '
            'cat memory.memsw.limit_in_bytes memory.limit_in_bytes; fi'
        ).split())
        return limit - sum(memory)

    def _assert_processors(self, number: int) -> None:
        """The server sees so many CPUs, in each place that tells."""
        self.assertEqual([str(number)] * 2, self.guest.run(
            'grep -c ^processor /proc/cpuinfo; '
            "grep -c '^cpu[0-9]' /proc/stat").split())

    def _processes(self) -> str:
        """Return what a restart would change, of the first and of SSH's."""
        return self.guest.run('for each in 1 $PPID; do '
                              'cut -d " " -f 1,22 /proc/$each/stat; done')

    def test_resize_and_confirm(self) -> None:
        started, processes = self._started(), self._processes()
        self.server.resize(self.make.flavor({}, ram=192, vcpus=2, swap=128))
        self.assertEqual(192, self._memory())
        self.assertEqual(128, self._swap())
        self._assert_processors(2)
        self.server.confirm()
        self.assertEqual(processes, self._processes())
        self.assertEqual(started, self._started())
        self._assert_same_server()
        self.server.resize(clouds.flavor_id('m1.nano'))
        self.server.confirm()
        self.assertEqual(64, self._memory())
        self.assertEqual(0, self._swap())

    def _started(self) -> str:
        return str(host.workload(self.server.id)['State']['StartedAt'])

    def test_resize_and_revert(self) -> None:
        started, processes = self._started(), self._processes()
        self.server.resize(self.make.flavor({}, ram=192, vcpus=2))
        self._assert_processors(2)
        self.server.revert()
        self.assertEqual(64, self._memory())
        self._assert_processors(1)
        self.assertEqual(processes, self._processes())
        self.assertEqual(started, self._started())
        self._assert_same_server()

    def test_resize_to_another_container(self) -> None:
        """A capability that a container has from its birth, or never."""
        self.assertFalse(self._may_set_the_clock())
        flavor = self.make.flavor({
            'docker:cap_add': 'SYS_TIME', 'quota:cpu_shares': '512',
            'quota:cpu_period': '50000', 'quota:cpu_quota': '20000'}, ram=192)
        before = self._cpu_limits()
        self.server.resize(flavor)
        self._assert_same_server()
        self.assertTrue(self._may_set_the_clock())
        *rate, weight = self._cpu_limits()
        self.assertEqual(['20000', '50000'], rate)
        self.assertLess(int(weight), int(before[-1]))
        self.server.revert()
        self._assert_same_server()
        self.assertFalse(self._may_set_the_clock())
        self.assertEqual(64, self._memory())
        self.assertEqual(before, self._cpu_limits())

    def _may_set_the_clock(self) -> bool:
        effective = self.guest.run(
            "awk '/^CapEff/ {print $2}' /proc/self/status")
        return bool(int(effective, 16) & 1 << _CAP_SYS_TIME)

    def _cpu_limits(self) -> list[str]:
        """Return quota, period and weight, as the server's kernel has them.

        The two versions of cgroups weigh on scales of their own.
        """
        return self.guest.run(
            'cd /sys/fs/cgroup; cat cpu.max cpu.weight '
            'cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares '
            '2>/dev/null || :').split()

    def test_a_resize_that_the_engine_refuses(self) -> None:
        """The user is told, and the server goes on as it was."""
        started = self._started()
        flavor = self.make.flavor({'docker:runtime': 'none-such'})
        clouds.connection('demo').compute.resize_server(self.server.id,
                                                        flavor)
        def refused() -> bool:
            seen = self.server.show()
            return not seen.task_state and bool(
                self.server.results(self.server.actions('resize')[0]))
        clouds.wait_until(refused, 'the resize is refused')
        self.assertIn('Error', self.server.result('resize'))
        self.assertIn('none-such', self.server.explanation('resize'))
        self.assertEqual('ACTIVE', self.server.show().status)
        self.assertEqual(started, self._started())
        self._assert_same_server()

    def test_cold_migration_to_the_same_host(self) -> None:
        clouds.connection('admin').compute.migrate_server(self.server.id)
        self.server.wait_for('VERIFY_RESIZE')
        self.server.confirm()
        self._assert_same_server()

    def test_shelve_and_unshelve(self) -> None:
        self.server.shelve()
        self.assertEqual([], host.containers(self.server.id))
        self.server.unshelve()
        self._assert_same_server()

    def test_lock(self) -> None:
        compute = clouds.connection('demo').compute
        compute.lock_server(self.server.id)
        try:
            self.assertRaises(exceptions.ConflictException,
                              compute.stop_server, self.server.id)
        finally:
            compute.unlock_server(self.server.id)
        self._assert_same_server()

    def test_set_password(self) -> None:
        clouds.connection('demo').compute.change_server_password(
            self.server.id, _PASSWORD)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        self.addCleanup(client.close)
        client.connect(self.guest.address, username='root',
                       password=_PASSWORD, look_for_keys=False,
                       allow_agent=False)

    def test_set_password_where_nothing_can(self) -> None:
        server = self.make.server('web')
        self.assertRaisesRegex(
            exceptions.ConflictException, "has no 'chpasswd'",
            clouds.connection('demo').compute.change_server_password,
            server.id, _PASSWORD)
        server.wait_for('ACTIVE')


class RebuildTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.make.server('ssh')
        self.addresses = self.server.addresses()
        self.guest = self.make.login(self.server)
        self.guest.run('echo old > /root/data')

    def test_a_running_server(self) -> None:
        """From its own image, and then from one of the user's."""
        self.server.rebuild(clouds.image_id('ssh'))
        self.guest.again().run('test ! -e /root/data')
        self.assertEqual(self.addresses, self.server.addresses())
        self.guest.run('echo old > /root/data')
        # The server, which goes with the test, needs it to the end.
        self.server.rebuild(self.shared.image(archives.ssh(
            {'etc/whose': b"the user's"})))
        self.assertEqual("the user's", self.guest.again().run(
            'test ! -e /root/data && cat /etc/whose'))
        self.assertEqual(self.addresses, self.server.addresses())

    def test_another_image_on_a_stopped_server(self) -> None:
        self.server.stop()
        self.server.rebuild(clouds.image_id('busybox'))
        # For a moment Nova has it as ACTIVE, with nothing more to do.
        self.server.wait_for('SHUTOFF')
        self.server.start()
        self.assertEqual(self.addresses, self.server.addresses())

    def test_an_unacceptable_image(self) -> None:
        """The server is in ERROR, and its disk is what it was."""
        image_id = self.make.image(b'no image')
        clouds.connection('demo').compute.rebuild_server(self.server.id,
                                                         image=image_id)
        self.assertIn(image_id, self.server.fault())
        self.assertEqual('old', self.guest.run('cat /root/data'))


class BackupTestCase(base.CloudTestCase):
    def test_rotation(self) -> None:
        server = self.make.server('ssh')
        guest = self.make.login(server)
        demo = clouds.connection('demo')
        names = [f'backup-{number}-{server.id}' for number in range(3)]
        for name in names:
            guest.run(f'echo {name} > /root/state')
            demo.compute.backup_server(server.id, name, 'daily', 2)
            server.wait_for('ACTIVE')
            self._wait_until_active(name)
        clouds.wait_until(lambda: self._statuses(names[:1]) == [],
                          'the oldest is gone')
        self.assertEqual(['active'] * 2, self._statuses(names))
        for name in names[1:]:
            self.assertEqual(name, self.make.prints(
                'cat /root/state',
                image=demo.image.find_image(name, ignore_missing=False).id))

    def _wait_until_active(self, name: str) -> None:
        clouds.wait_until(lambda: self._statuses([name]) == ['active'],
                          f'{name} is active')

    def _statuses(self, names: list[str]) -> list[str]:
        image = clouds.connection('demo').image
        found = [each for each in image.images() if each.name in names]
        for each in found:
            self.make.owned_image(each.id)
        return [each.status for each in found]


class CrashDumpTestCase(base.CloudTestCase):
    def test_the_main_process_ends(self) -> None:
        server = self.make.server(metadata={
            'docker:command': 'sh -c "echo ready; exec sleep 1000"'})
        server.wait_for_console('ready')
        clouds.connection('demo').compute.trigger_server_crash_dump(
            server.id)
        server.wait_for('SHUTOFF')
        self.assertEqual(128 + 3,
                         host.workload(server.id)['State']['ExitCode'])

    def test_its_core(self) -> None:
        """It is where the host's kernel.core_pattern says."""
        pattern = pathlib.Path('/proc/sys/kernel/core_pattern').read_text()
        if pattern[0] in '|/':
            self.skipTest('the host takes the cores of all processes')
        server = self.make.server(metadata={'docker:command': (
            'sh -c "ulimit -c unlimited; cd /root; head -c 4 *; echo ready; '
            'exec sleep 1000"')})
        server.wait_for_console('ready')
        clouds.connection('demo').compute.trigger_server_crash_dump(
            server.id)
        server.wait_for('SHUTOFF')
        server.start()
        self.assertIn('ELF', server.wait_for_console('ELFready'))

    def test_a_shell(self) -> None:
        server = self.make.server(wait=('ACTIVE',))
        clouds.connection('demo').compute.trigger_server_crash_dump(
            server.id)
        self.assertIn('interactive shell',
                      server.explanation('trigger_crash_dump'))
        server.wait_for('ACTIVE')
