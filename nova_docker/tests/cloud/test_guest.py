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

"""What a user finds in a server: key, names, metadata, its own limits."""

from __future__ import annotations

import datetime
import json
from typing import Any
from typing import ClassVar

from oslo_utils import units

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host

_USER_DATA = '#!/bin/sh\necho "what the user wants"\n'
_METADATA = 'http://169.254.169.254'
_MEMORY_MB = 64
#: Bytes of memory that a test holds.
_HELD = 16 * units.Mi


class GuestTestCase(base.ServerTestCase):
    """One server, which no test changes."""

    options: ClassVar = {'user_data': _USER_DATA,
                         'metadata': {'purpose': 'testing'}}

    def _metadata(self, path: str) -> str:
        return self.guest.run('curl -sSf -m 30 --retry 5 --retry-all-errors '
                              f'{_METADATA}/{path}')

    def test_the_key_pair_logs_in(self) -> None:
        self.assertEqual('root', self.guest.run('id -un'))
        self.assertEqual(
            '700 root\n600 root',
            self.guest.run('stat -c "%a %U" /root/.ssh '
                           '/root/.ssh/authorized_keys'))

    def test_instance_metadata(self) -> None:
        found = json.loads(
            self._metadata('openstack/latest/meta_data.json'))
        self.assertEqual(self.server.id, found['uuid'])
        self.assertEqual({'purpose': 'testing'}, found['meta'])
        self.assertEqual(self.server.show().name, found['name'])
        self.assertEqual(self.server.addresses()[0],
                         self._metadata('latest/meta-data/local-ipv4'))

    def test_user_data(self) -> None:
        self.assertEqual(_USER_DATA.strip(),
                         self._metadata('latest/user-data').strip())

    def test_public_key_in_the_metadata(self) -> None:
        key = clouds.connection('demo').compute.get_keypair('demo')
        self.assertEqual(
            key.public_key.strip(),
            self._metadata('latest/meta-data/public-keys/0/openssh-key'))

    def test_its_own_name(self) -> None:
        name = self.server.show().name
        self.assertEqual(name, self.guest.run('hostname'))
        self.assertEqual(self.server.addresses()[0], self.guest.run(
            f'awk \'$2 == "{name}" {{print $1}}\' /etc/hosts'))
        self.guest.run(f'ping -c 1 -w 30 {name}')

    def test_interface(self) -> None:
        [port] = self.server.ports()
        shown = json.loads(self.guest.run('ip -j address show'))
        self.assertEqual(['lo', 'eth0'], [link['ifname'] for link in shown])
        self.assertEqual(port.mac_address, shown[1]['address'])
        self.assertEqual([(self.server.addresses()[0], 24)], [
            (each['local'], each['prefixlen'])
            for each in shown[1]['addr_info'] if each['family'] == 'inet'])

    def test_memory_is_its_own(self) -> None:
        total = self.guest.run("awk '/^MemTotal/ {print $2}' /proc/meminfo")
        self.assertEqual(_MEMORY_MB * 1024, int(total))
        limit = self.guest.run(
            'cat /sys/fs/cgroup/memory.max '
            '/sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || :')
        self.assertEqual(_MEMORY_MB * 1024 ** 2, int(limit))

    def test_processors_are_its_own(self) -> None:
        self.assertEqual('1', self.guest.run(
            'grep -c ^processor /proc/cpuinfo'))
        quota, period = self.guest.run(
            'cd /sys/fs/cgroup; cat cpu.max cpu/cpu.cfs_quota_us '
            'cpu/cpu.cfs_period_us 2>/dev/null || :').split()
        self.assertEqual(int(period), int(quota))

    def test_uptime_is_its_own(self) -> None:
        uptime = float(self.guest.run('cut -d " " -f 1 /proc/uptime'))
        with open('/proc/uptime') as machine:
            self.assertLess(uptime, float(machine.read().split()[0]))
        started = datetime.datetime.fromisoformat(
            host.workload(self.server.id)['State']['StartedAt'])
        age = datetime.datetime.now(datetime.UTC) - started
        self.assertAlmostEqual(age.total_seconds(), uptime, delta=60)

    def test_no_more_privilege_than_any_container(self) -> None:
        # Docker's default capabilities, and its filter of system calls.
        status = self.guest.run('cat /proc/1/status')
        self.assertIn('CapEff:\t00000000a80425fb', status)
        self.assertIn('Seccomp:\t2', status)
        self.assertNotIn('sda', self.guest.run('ls /dev'))

    def test_diagnostics(self) -> None:
        before = self._diagnostics()
        # Memory that the kernel can't drop, and a file that is on its disk.
        self.guest.run(f'head -c {_HELD} /dev/urandom > /dev/shm/held; dd '
                       'if=/dev/zero of=/root/file bs=1M count=4 conv=fsync')
        self.addCleanup(self.guest.run, 'rm /dev/shm/held /root/file')
        shown = self._diagnostics()
        self.assertEqual('running', shown['state'])
        self.assertEqual('docker', shown['hypervisor'])
        memory = shown['memory_details']
        self.assertEqual(_MEMORY_MB, memory['maximum'])
        self.assertLessEqual(memory['used'], _MEMORY_MB)
        self.assertGreaterEqual(
            memory['used'] - before['memory_details']['used'],
            _HELD // units.Mi - 1)
        self.assertGreater(*(sum(each['time'] for each in of['cpu_details'])
                             for of in (shown, before)))
        for table, figure, least in (
                ('disk_details', 'write_bytes', 4 * units.Mi),
                ('disk_details', 'write_requests', 1),
                # Something has passed its interface.
                ('nic_details', 'rx_octets', 1),
                ('nic_details', 'tx_octets', 1)):
            [earlier], [later] = before[table], shown[table]
            self.assertGreaterEqual(later[figure] - earlier[figure], least,
                                    figure)

    def _diagnostics(self) -> dict[str, Any]:
        return dict(clouds.connection('admin').compute.get(
            f'/servers/{self.server.id}/diagnostics',
            microversion='2.48').json())

    def test_placement_knows_what_it_takes(self) -> None:
        [taken] = host.allocations(self.server.id).values()
        self.assertEqual({'VCPU': 1, 'MEMORY_MB': _MEMORY_MB, 'DISK_GB': 1},
                         taken['resources'])
