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

"""A server's own view of /proc, also when LXCFS is restarted."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services

#: Its memory, and its CPUs in each place that tells of them.
_OWN = ("(awk '/^MemTotal/ {print $2}' /proc/meminfo; "
        "grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat) "
        '2>&1 || true')

#: Whether the kernel's control groups are of the second version.
_LIMITS_SWAP_ALONE = pathlib.Path(
    '/sys/fs/cgroup/cgroup.controllers').exists()


class ProcTestCase(base.CloudTestCase):
    alone = True

    def test_lxcfs_is_killed(self) -> None:
        if not services.is_ours('lxcfs'):
            self.skipTest("the machine's own LXCFS is not ours to kill")
        guest = self.make.login(self.make.server('ssh', wait=('ACTIVE',)))
        before = guest.run(_OWN)
        self.assertEqual(['65536', '1', '1'], before.split())
        self.addCleanup(services.up)
        services.kill('lxcfs')
        self.assertNotEqual(before, guest.run(_OWN))
        services.up()
        clouds.wait_until(lambda: guest.run(_OWN) == before,
                          'the server sees what is its own again')
        # They are renewed one after the other.
        clouds.wait_until(
            lambda: guest.run('cd /proc; cat cpuinfo loadavg stat swaps '
                              'uptime >/dev/null 2>&1 && echo well || :'),
            'it sees all of its own again')

    def test_swap(self) -> None:
        """It is the server's own part of the host's, and follows a resize.

        By LXCFS's reckoning: where one control group limits memory and swap
        together, all that is in memory might be swapped out.
        """
        self._swap_on_host(256)
        server = self.make.server('ssh', self.make.flavor({}, swap=64))
        guest = self.make.login(server)
        beyond = 0 if _LIMITS_SWAP_ALONE else 1
        for memory in (64, 128):
            [row] = guest.run('tail -n +2 /proc/swaps').splitlines()
            self.assertEqual(64 + beyond * memory,
                             round(int(row.split()[2]) / 1024))
            self.assertEqual(row.split()[2], guest.run(
                "awk '/^SwapTotal/ {print $2}' /proc/meminfo"))
            if memory == 64:
                server.resize(self.make.flavor({}, ram=128, swap=64))
                server.confirm()

    def _swap_on_host(self, mebibytes: int) -> None:
        """Have some swap at the host meanwhile."""
        file, path = tempfile.mkstemp(dir=clouds.home())
        self.addCleanup(os.unlink, path)
        os.posix_fallocate(file, 0, mebibytes << 20)
        os.close(file)
        subprocess.run(['mkswap', path], check=True, capture_output=True)
        subprocess.run(['swapon', path], check=True)
        self.addCleanup(subprocess.run, ['swapoff', path], check=True)
