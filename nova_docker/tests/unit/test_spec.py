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

"""Create arguments, from nothing but data."""

from __future__ import annotations

import dataclasses
from typing import Any

import ddt

from nova_docker import errors
from nova_docker import spec
from nova_docker.tests import base

HOST = spec.Host(init=True, runtimes=frozenset({'runc', 'runsc'}),
                 disk_quota=True, block_device='/dev/vda',
                 lxcfs='/var/lib/lxcfs', pids_limit=4096, log_size=10)
BARE = spec.Host(init=False, runtimes=frozenset(), disk_quota=False,
                 block_device=None, lxcfs=None, pids_limit=0, log_size=1)
MIB = 1024 * 1024


def workload(host: spec.Host = HOST, extra_specs: dict[str, str] | None = None,
             flavor: dict[str, Any] | None = None,
             **fields: Any) -> dict[str, Any]:
    """Return the create arguments of an instance's workload."""
    return spec.workload(base.make_instance(base.make_flavor(
        extra_specs=extra_specs or {}, **(flavor or {})), **fields),
        'image', host)


def host_config(host: spec.Host = HOST, **extra_specs: str) -> Any:
    """Return HostConfig; ``__`` in a key stands for its colon."""
    return workload(host, {key.replace('__', ':'): value for key, value in
                           extra_specs.items()})['HostConfig']


class SandboxTestCase(base.TestCase):
    def test_it_may_nothing(self) -> None:
        found = spec.sandbox(base.make_instance(), 'image', [], [])
        config = found['HostConfig']
        self.assertEqual('none', config['NetworkMode'])
        self.assertTrue(config['ReadonlyRootfs'])
        self.assertEqual(['ALL'], config['CapDrop'])
        self.assertLessEqual(config['PidsLimit'], 64)

    def test_names(self) -> None:
        found = spec.sandbox(base.make_instance(hostname='web-1'), 'image',
                             ['192.0.2.1'], ['10.0.0.4', 'fd00::4'])
        self.assertEqual('web-1', found['Hostname'])
        self.assertEqual(['192.0.2.1'], found['HostConfig']['Dns'])
        self.assertEqual(['web-1:10.0.0.4', 'web-1:fd00::4'],
                         found['HostConfig']['ExtraHosts'])

    def test_its_namespace_opens_to_the_privileged_daemon(self) -> None:
        found = spec.sandbox(base.make_instance(), 'image', [], [])
        self.assertEqual('0:0', found['User'])

    def test_a_server_without_a_hostname(self) -> None:
        instance = base.make_instance(hostname=None)
        found = spec.sandbox(instance, 'image', [], ['10.0.0.4'])
        self.assertEqual(instance.name, found['Hostname'])

    def test_a_long_domain_name(self) -> None:
        """Nova takes one of 255 bytes as a server's hostname."""
        for name, expected in (('web.example.org', 'web.example.org'),
                               (f'web.{"x" * 60}.org', 'web')):
            found = spec.sandbox(base.make_instance(hostname=name), 'image',
                                 [], ['10.0.0.4'])
            self.assertEqual(expected, found['Hostname'])
            self.assertEqual({f'{each}:10.0.0.4' for each in (
                name, expected)}, set(found['HostConfig']['ExtraHosts']))

    def test_the_hosts_resolver_is_never_the_fall_back(self) -> None:
        found = spec.sandbox(base.make_instance(), 'image', [], [])
        self.assertEqual(['127.0.0.1'], found['HostConfig']['Dns'])
        self.assertTrue(found['HostConfig']['DnsSearch'])


@ddt.ddt
class WorkloadTestCase(base.TestCase):
    def test_by_default(self) -> None:
        found = workload()
        self.assertTrue(found['Tty'])
        self.assertTrue(found['OpenStdin'])
        self.assertTrue(found['HostConfig']['Init'])
        for absent in ('Cmd', 'Entrypoint', 'User', 'WorkingDir',
                       'StopSignal', 'Hostname'):
            self.assertNotIn(absent, found)
        for absent in ('Privileged', 'CapAdd', 'Devices', 'RestartPolicy',
                       'SecurityOpt', 'Runtime', 'PortBindings'):
            self.assertNotIn(absent, found['HostConfig'])

    def test_the_network_is_the_sandboxs(self) -> None:
        instance = base.make_instance()
        found = spec.workload(instance, 'image', HOST)
        self.assertEqual(f'container:nova-{instance.uuid}-sandbox',
                         found['HostConfig']['NetworkMode'])
        self.assertEqual('workload',
                         found['Labels']['org.openstack.nova.role'])

    def test_what_is_asked(self) -> None:
        found = workload(
            metadata={'docker:command': 'a "b c"', 'docker:env:X': '1=2'},
            system_metadata={'image_docker_tty': 'no',
                             'image_docker_init': 'no',
                             'image_docker_stop_signal': 'SIGINT'})
        self.assertEqual(['a', 'b c'], found['Cmd'])
        self.assertEqual(['X=1=2'], found['Env'])
        self.assertEqual('SIGINT', found['StopSignal'])
        self.assertFalse(found['Tty'])
        self.assertFalse(found['OpenStdin'])
        self.assertFalse(found['HostConfig']['Init'])

    def test_an_engine_without_docker_init(self) -> None:
        self.assertFalse(host_config(BARE)['Init'])

    def test_memory_and_swap(self) -> None:
        config = workload(flavor={'memory_mb': 48})['HostConfig']
        self.assertEqual((48 * MIB, 48 * MIB),
                         (config['Memory'], config['MemorySwap']))
        config = workload(flavor={'memory_mb': 48, 'swap': 16})['HostConfig']
        self.assertEqual((48 * MIB, 64 * MIB),
                         (config['Memory'], config['MemorySwap']))

    @ddt.data(
        ({}, (100000, 300000, None)),
        ({'quota:cpu_shares': '2'}, (100000, 300000, 2)),
        ({'quota:cpu_period': '1000'}, (1000, 3000, None)),
        ({'quota:cpu_quota': '1000'}, (100000, 1000, None)),
        ({'quota:cpu_quota': '-1'}, (100000, -1, None)),
        ({'quota:cpu_quota': '0', 'quota:cpu_period': '0',
          'quota:cpu_shares': '0'}, (100000, 300000, None)))
    @ddt.unpack
    def test_cpu(self, keys: dict[str, str],
                 expected: tuple[int, int, int | None]) -> None:
        config = workload(extra_specs=keys, flavor={'vcpus': 3})['HostConfig']
        self.assertEqual(expected, (config['CpuPeriod'], config['CpuQuota'],
                                    config.get('CpuShares')))

    @ddt.data(
        ('quota:cpu_quota', 'half'), ('quota:cpu_quota', '999'),
        ('quota:cpu_quota', '-'), ('quota:cpu_quota', str(2 ** 44)),
        ('quota:cpu_period', '999'), ('quota:cpu_period', '1000001'),
        ('quota:cpu_period', '-1000'), ('quota:cpu_shares', '1'),
        ('quota:cpu_shares', '262145'), ('quota:cpu_shares', '\u00b2'),
        ('quota:disk_read_bytes_sec', '-1'),
        ('quota:disk_total_iops_sec', '1.5'))
    @ddt.unpack
    def test_bad_number(self, key: str, value: str) -> None:
        error = self.assertRaises(errors.BadSetting, workload,
                                  extra_specs={key: value})
        self.assertIn(f"Flavor key '{key}'", str(error))

    def test_root_disk(self) -> None:
        self.assertEqual({'size': '1G'}, host_config()['StorageOpt'])
        self.assertNotIn('StorageOpt', host_config(BARE))
        self.assertNotIn('StorageOpt', workload(
            flavor={'root_gb': 0})['HostConfig'])

    def test_disk_rates(self) -> None:
        config = host_config(quota__disk_total_bytes_sec='5',
                             quota__disk_read_iops_sec='7')
        for field in ('BlkioDeviceReadBps', 'BlkioDeviceWriteBps'):
            self.assertEqual([{'Path': '/dev/vda', 'Rate': 5}], config[field])
        self.assertEqual([{'Path': '/dev/vda', 'Rate': 7}],
                         config['BlkioDeviceReadIOps'])
        self.assertNotIn('BlkioDeviceWriteIOps', config)

    def test_no_disk_whose_rate_could_be_limited(self) -> None:
        error = self.assertRaises(errors.BadSetting, host_config, BARE,
                                  quota__disk_write_iops_sec='7')
        self.assertIn("'quota:disk_write_iops_sec'", str(error))
        host_config(BARE, quota__disk_write_iops_sec='0')

    def test_an_unknown_runtime(self) -> None:
        self.assertEqual('runsc', host_config(docker__runtime='runsc')[
            'Runtime'])
        error = self.assertRaises(errors.BadSetting, host_config,
                                  docker__runtime='kata')
        self.assertIn("'docker:runtime'", str(error))
        self.assertIn('runc, runsc', str(error))

    @ddt.data((None, 4096, 4096), (None, 0, None), ('7', 4096, 7),
              ('0', 4096, None))
    @ddt.unpack
    def test_pids_limit(self, flavor: str | None, default: int,
                        expected: int | None) -> None:
        keys = {} if flavor is None else {'docker:pids_limit': flavor}
        found = workload(dataclasses.replace(HOST, pids_limit=default), keys)
        self.assertEqual(expected, found['HostConfig'].get('PidsLimit'))

    def test_privileges(self) -> None:
        config = host_config(
            docker__cap_add='NET_ADMIN', docker__shm_size='3',
            docker__privileged='yes', docker__read_only='yes',
            docker__ulimit_nofile='5:6', docker__device_0='/dev/fuse',
            docker__sysctl_fs='9')
        self.assertEqual(['NET_ADMIN'], config['CapAdd'])
        self.assertEqual(3 * MIB, config['ShmSize'])
        self.assertTrue(config['Privileged'])
        self.assertTrue(config['ReadonlyRootfs'])
        self.assertEqual([{'Name': 'nofile', 'Soft': 5, 'Hard': 6}],
                         config['Ulimits'])
        self.assertEqual([{
            'PathOnHost': '/dev/fuse', 'PathInContainer': '/dev/fuse',
            'CgroupPermissions': 'rwm'}], config['Devices'])
        self.assertEqual({'fs': '9'}, config['Sysctls'])

    def test_the_log_is_bounded_and_never_emptied(self) -> None:
        log = host_config()['LogConfig']['Config']
        self.assertEqual({'max-size': '5120k', 'max-file': '2'}, log)

    def test_lxcfs(self) -> None:
        self.assertIn('/var/lib/lxcfs/proc/uptime:/proc/uptime:rw',
                      host_config()['Binds'])
        self.assertEqual([], host_config(BARE)['Binds'])

    def test_nothing_is_unset(self) -> None:
        """The engine takes null for some fields only."""
        for host in (HOST, BARE):
            found = workload(host)
            self.assertNotIn(None, found.values())
            self.assertNotIn(None, found['HostConfig'].values())


@ddt.ddt
class ShellTestCase(base.TestCase):
    @ddt.data(['sh'], ['/bin/sh'], ['/bin/bash', '-l'], ['-bash'],
              ['bash', '--norc', '-i'], ['busybox', 'sh'], ['/bin/zsh'],
              ['/usr/bin/busybox', 'ash', '-l'])
    def test_reads_from_its_terminal(self, command: list[str]) -> None:
        self.assertTrue(spec.is_interactive_shell(command))

    @ddt.data(['sh', '-c', 'serve'], ['bash', '-lc', 'serve'],
              ['sh', '/serve'], ['sh', '-e', 'serve'], ['nginx'],
              ['busybox', 'httpd'], ['busybox'], ['/sbin/init'],
              ['bash', '--rcfile', 'mine'], ['python3'])
    def test_has_other_work(self, command: list[str]) -> None:
        self.assertFalse(spec.is_interactive_shell(command))
