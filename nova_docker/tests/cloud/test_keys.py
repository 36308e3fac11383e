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

"""What a tenant may ask for, and what only an operator's flavor grants."""

from __future__ import annotations

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import host

_CAPABILITIES = 'grep CapEff /proc/self/status'
#: CAP_NET_ADMIN is number 12.
_NET_ADMIN = 1 << 12


def _capabilities(shown: str) -> int:
    return int(shown.split()[1], 16)


class TenantTestCase(base.CloudTestCase):
    def test_command_environment_and_directory(self) -> None:
        shown = self.make.prints(
            'echo $GREETING; pwd; tty && id -u', metadata={
                'docker:env:GREETING': 'good morning',
                'docker:workdir': '/var/log', 'docker:user': 'nobody'})
        self.assertEqual(['good morning', '/var/log', '/dev/pts/0', '65534'],
                         shown.splitlines())

    def test_no_terminal(self) -> None:
        shown = self.make.prints('tty; echo done',
                                 metadata={'docker:tty': 'false'})
        self.assertEqual(['not a tty', 'done'], shown.splitlines())

    def test_image_properties_and_metadata_over_them(self) -> None:
        image_id = self.make.image(
            archives.busybox(), os_command_line="sh -c 'env; pwd'",
            docker_env_COLOUR='red', docker_env_SHAPE='round',
            docker_workdir='/srv')
        shown = self.make.server(image_id, metadata={
            'docker:env:COLOUR': 'blue'}).printed().splitlines()
        for line in ('COLOUR=blue', 'SHAPE=round', '/srv'):
            self.assertIn(line, shown)

    def test_no_terminal_and_no_init_by_the_image(self) -> None:
        image_id = self.make.image(
            archives.busybox(['sh', '-c', 'tty; echo $$']),
            docker_tty='no', docker_init='no')
        self.assertEqual(['not a tty', '1'],
                         self.make.server(image_id).printed().splitlines())

    def test_stop_signal_of_the_image(self) -> None:
        image_id = self.make.image(
            archives.busybox(['sh', '-c', 'trap "echo got it; exit" USR1; '
                              'echo ready; while :; do sleep 1; done']),
            docker_stop_signal='SIGUSR1')
        service = self.make.server(image_id)
        service.wait_for_console('ready\n')
        service.stop()
        self.assertIn('got it\n', service.console())

    def test_a_tenant_grants_itself_nothing(self) -> None:
        shown = self.make.prints(_CAPABILITIES)
        self.assertEqual(0xa80425fb, _capabilities(shown))


class OperatorTestCase(base.CloudTestCase):
    def test_capabilities(self) -> None:
        flavor = self.make.flavor({'docker:cap_add': 'NET_ADMIN',
                                   'docker:cap_drop': 'CHOWN,MKNOD'})
        granted = _capabilities(self.make.prints(_CAPABILITIES,
                                                 flavor=flavor))
        self.assertEqual(
            (0xa80425fb | _NET_ADMIN) & ~(1 << 0) & ~(1 << 27), granted)

    def test_limits(self) -> None:
        flavor = self.make.flavor({
            'docker:ulimit_nofile': '100:200', 'docker:shm_size': '3',
            'docker:pids_limit': '77', 'docker:read_only': 'true'})
        shown = self.make.prints(
            'ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -n 1; '
            'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max '
            '2>/dev/null; touch /root/new', flavor=flavor).splitlines()
        self.assertEqual(['100', '200'], shown[:2])
        self.assertEqual('3072', shown[2].split()[1])
        self.assertEqual('77', shown[3])
        self.assertIn('Read-only file system', shown[4])

    def test_devices_and_parameters_of_the_kernel(self) -> None:
        flavor = self.make.flavor({
            'docker:device_0': '/dev/fuse:/dev/own:r',
            'docker:sysctl_net.ipv4.ip_unprivileged_port_start': '0'})
        shown = self.make.prints(
            'ls -l /dev/own; '
            'cat /proc/sys/net/ipv4/ip_unprivileged_port_start',
            flavor=flavor).splitlines()
        self.assertRegex(shown[0], r'^c.* 10, +229 ')
        self.assertEqual('0', shown[1])

    def test_memory_processors_and_shares(self) -> None:
        flavor = self.make.flavor({'quota:cpu_quota': '50000',
                                   'quota:cpu_shares': '256'}, ram=96)
        limited = self.make.server(flavor=flavor)
        limits = host.workload(limited.id)['HostConfig']
        self.assertEqual((96 * 1024 ** 2, 50000, 256), (
            limits['Memory'], limits['CpuQuota'], limits['CpuShares']))

    def test_disk_rates(self) -> None:
        """Or the user hears that no device is there to hold to it."""
        key = 'quota:disk_write_bytes_sec'
        limited = self.make.server(
            flavor=self.make.flavor({key: '1048576'}),
            wait=('ACTIVE', 'SHUTOFF', 'ERROR'))
        if limited.show().status == 'ERROR':
            self.assertIn(key, limited.fault())
            return
        [rate] = host.workload(limited.id)['HostConfig'][
            'BlkioDeviceWriteBps']
        self.assertEqual(1048576, rate['Rate'])
