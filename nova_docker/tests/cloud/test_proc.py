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

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services

#: Its memory, and its CPUs in each place that tells of them.
_OWN = ("(awk '/^MemTotal/ {print $2}' /proc/meminfo; "
        "grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat) "
        '2>&1 || true')


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
