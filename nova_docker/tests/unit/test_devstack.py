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

"""DevStack's plugin says what the driver says, where they say the same."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import fixtures
from oslo_config import cfg
from oslotest import base

import nova_docker
from nova_docker import conf
from nova_docker import names

_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]
_DEVSTACK = _SOURCE / 'devstack'
_LIBRARY = _SOURCE / 'contrib' / 'dockenstack' / 'lib'


class DevStackTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plugin = (_DEVSTACK / 'plugin.sh').read_text()

    def _python(self, *command: str) -> list[str]:
        return subprocess.run(
            [sys.executable, *command], check=True, stdout=subprocess.PIPE,
            text=True, env={**os.environ, 'PYTHONPATH': os.fspath(_LIBRARY)}
        ).stdout.splitlines()

    def test_the_driver_is_where_it_says(self) -> None:
        named = re.findall(r'compute_driver (\w+)\.(\w+)', self.plugin)
        self.assertEqual(1, len(named))
        package, name = named[0]
        overlay = _SOURCE / 'nova' / 'virt' / package / '__init__.py'
        self.assertIn(f'import {name}\n', overlay.read_text())

    def test_each_option_of_ours_is_one(self) -> None:
        options = cfg.ConfigOpts()
        conf.register_opts(options)
        set_here = re.findall(r'iniset "\$NOVA_CONF" docker (\S+) (\S+)',
                              self.plugin)
        self.assertTrue(set_here)
        for name, value in set_here:
            options.set_override(name, value, 'docker')

    def test_each_file_it_takes_is_there(self) -> None:
        paths = re.findall(r'\$NOVA_DOCKER_DIR"?/([\w./-]+)', self.plugin)
        self.assertIn('etc/nova/rootwrap.d/docker.filters', paths)
        for path in paths:
            self.assertTrue((_SOURCE / path).exists(), path)

    def test_it_removes_what_is_the_drivers(self) -> None:
        self.assertEqual(
            [names.UUID], re.findall(r'label=(\S+?)\)', self.plugin))
        prefix = re.findall(r"grep '\^(\S+)'", self.plugin)
        self.assertEqual(['nova-docker/'], prefix)
        for reference in (names.SANDBOX_IMAGE, names.image_reference('1'),
                          names.disk_reference('1', '2'),
                          names.snapshot_reference('1')):
            self.assertTrue(reference.startswith(prefix[0]), reference)

    def test_its_packages_are_those_of_dockenstack(self) -> None:
        wanted = self._python(
            '-c', 'from dockenstack.images import recipes\n'
                  'from dockenstack.openstack import nova\n'
                  'print(*recipes.PACKAGES, *nova.PACKAGES, sep="\\n")')
        installed = (_DEVSTACK / 'files' / 'debs' / 'nova-docker').read_text()
        # The last is essential: every Debian has it.
        self.assertEqual(
            set(), {*wanted} - {*installed.split()} - {'mount'})

    def test_tempest_is_told_each_feature_once(self) -> None:
        told = [line.split() for line in self._python(
            os.fspath(_DEVSTACK / 'facts.py'), 'features')]
        self.assertEqual(len(told), len({name for name, _ in told}))
        self.assertIn(['live_migration', 'False'], told)
        self.assertIn(['snapshot', 'True'], told)
        self.assertEqual({'True', 'False'}, {value for _, value in told})

    def test_ovn_is_told_of_any_datapath(self) -> None:
        # Of the kernel's as well: br-int may be of another since last time.
        # And of the public bridge's, which DevStack leaves what it was.
        for bridge, wanted, told in (
                ('', 'system', 'system'), ('', 'netdev', 'netdev'),
                ('""', 'system', 'system'), ('netdev', 'netdev', 'netdev'),
                ('netdev', 'system', 'netdev')):
            done = self._call(
                'choose_ovn_datapath', OVS_DATAPATH_TYPE=wanted,
                PUBLIC_BRIDGE='br-ex', echo_summary='echo "summary $*"',
                sudo=f"if [[ $2 == --if-exists ]]; then echo '{bridge}'; "
                     'else echo "$*"; fi')
            self.assertEqual(
                'ovs-vsctl set open_vswitch . '
                f'external-ids:ovn-bridge-datapath-type={told}', done[-1])
            self.assertEqual(1 if told == wanted else 2, len(done))

    def test_it_waits_for_who_writes_novas_configuration(self) -> None:
        done = self._call(
            'configure_nova_docker', NOVA_CONF='nova.conf',
            NOVA_CONF_DIR='/etc/nova', NOVA_DOCKER_DIR='/nova-docker',
            NOVA_DOCKER_LXCFS='False', async_wait='echo "wait $*"',
            iniset='echo "$*"', iniget='echo 2001:db8::1')
        self.assertEqual('wait configure_neutron_nova', done[0])
        self.assertIn(
            'nova.conf serial_console proxyclient_address 2001:db8::1', done)

    def test_the_serial_proxy_is_where_the_api_is(self) -> None:
        for services, enabled in (('n-api n-cpu', ['enable n-sproxy']),
                                  ('n-cpu', ['NOVA_SERIAL_ENABLED=True'])):
            self.assertEqual(
                ['disable n-novnc n-spice', *enabled],
                self._bash(
                    f'function is_service_enabled {{'
                    f' [[ " {services} " == *" $1 "* ]]; }}',
                    'function trueorfalse { echo "$1"; }',
                    'function is_ubuntu { true; }',
                    'function disable_service { echo "disable $*"; }',
                    'function enable_service { echo "enable $*"; }',
                    f'source {_DEVSTACK}/settings',
                    'declare -p NOVA_SERIAL_ENABLED 2> /dev/null'
                    ' | cut -d " " -f 3- | tr -d \\"',
                    DEST='/opt/stack', DATA_DIR='/opt/stack/data'))

    def test_an_image_that_is_not_there_ends_it_at_once(self) -> None:
        machine = {'die': 'shift; echo "$*"', 'is_ubuntu': 'true'}
        for path, said in (('', []), (__file__, []), (
                '/nowhere.tar',
                ['NOVA_DOCKER_IMAGE_FILE names no file: /nowhere.tar'])):
            self.assertEqual(said, self._call(
                'check_image_file', NOVA_DOCKER_IMAGE_FILE=path, **machine))
        said = self._call('check_image_file', NOVA_DOCKER_IMAGE_FILE='',
                          **{**machine, 'is_ubuntu': 'false'})
        self.assertEqual(1, len(said))
        self.assertIn('NOVA_DOCKER_IMAGE_FILE', said[0])

    def test_an_image_may_be_where_it_is_copied_to(self) -> None:
        kept = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        other = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for folder in (kept, other):
            archive = folder / 'ssh.tar.zst'
            archive.write_text(os.fspath(folder))
            uploaded = self._call(
                'upload_nova_docker_images', openstack='echo "${@: -1}"',
                NOVA_DOCKER_IMAGE_FILE=os.fspath(archive),
                NOVA_DOCKER_DATA=os.fspath(kept), DEFAULT_IMAGE_NAME='ssh',
                REGION_NAME='')
            self.assertEqual(2 * [os.fspath(kept / archive.name)], uploaded)
            self.assertEqual(os.fspath(folder),
                             (kept / archive.name).read_text())

    def test_the_firewall_lets_the_public_bridge_pass(self) -> None:
        allowed = self._call('forward_public_network allow',
                             PUBLIC_BRIDGE='br-ex')
        self.assertEqual(
            ['iptables -D DOCKER-USER -i br-ex -j ACCEPT',
             'iptables -I DOCKER-USER -i br-ex -j ACCEPT',
             'iptables -D DOCKER-USER -o br-ex -j ACCEPT',
             'iptables -I DOCKER-USER -o br-ex -j ACCEPT'], allowed)

    def test_an_engine_may_have_no_firewall(self) -> None:
        machine = {'PUBLIC_BRIDGE': 'br-ex', 'sudo': 'false',
                   'echo_summary': 'echo "$*"'}
        said = self._call('forward_public_network allow', **machine)
        self.assertEqual(1, len(said))
        self.assertIn('DOCKER-USER', said[0])
        self.assertEqual(
            [], self._call('forward_public_network deny', **machine))

    def test_lxcfs_is_described_while_it_is_stacked(self) -> None:
        units = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        drop_in = units / 'lxcfs.service.d' / 'nova-docker.conf'
        machine = {
            'NOVA_DOCKER_LXCFS_UNIT': os.fspath(drop_in.parent),
            'lxcfs_serves': f'test -e {drop_in}',
            'systemd-detect-virt': 'true', 'sudo': '"$@"',
            'systemctl': '[[ $1 != is-active ]]', 'install_package': 'true',
            'start_service': 'true', 'stop_service': 'true',
            'echo_summary': 'echo "$*"'}
        self.assertEqual([], self._call('start_lxcfs', **machine))
        in_container = drop_in.read_text()
        self.assertTrue(in_container.startswith(
            '[Unit]\nConditionVirtualization=\n[Service]\n'))
        self.assertRegex(
            in_container, r'\nExecStart=\nExecStart=/usr/bin/lxcfs '
                          r'.*--enable-loadavg .*/var/lib/lxcfs\n$')
        self._call('start_lxcfs', **{**machine,
                                     'systemd-detect-virt': 'false'})
        self.assertEqual(in_container[in_container.index('[Service]'):],
                         drop_in.read_text())
        # As often as it is stacked.
        self._call('start_lxcfs', **machine)
        self._call('stop_lxcfs', **machine)
        self.assertEqual([], list(units.iterdir()))
        self._call('stop_lxcfs', **machine)

    def test_it_tells_that_lxcfs_does_not_run(self) -> None:
        units = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        said = self._call(
            'start_lxcfs', NOVA_DOCKER_LXCFS_UNIT=os.fspath(units / 'd'),
            lxcfs_serves='false', systemctl='true', echo_summary='echo "$*"')
        self.assertEqual(1, len(said))
        self.assertIn('LXCFS does not run', said[0])
        # One that runs is not described anew.
        self.assertEqual([], list(units.iterdir()))

    def test_volumes_in_files_are_of_dockenstacks_driver(self) -> None:
        backend = (_DEVSTACK / 'volumes.sh').read_text()
        paths = re.findall(r'\$NOVA_DOCKER_DIR/([\w./-]+)', backend)
        self.assertEqual(1, len(paths))
        link, = re.findall(r'FILES_BACKEND=(\S+)\.py', backend)
        driver, = re.findall(r'(\S+)\.(\w+)\n\}', backend)[:1]
        self.assertEqual(link.replace('/', '.'), driver[0])
        self.assertIn(f'class {driver[1]}(',
                      (_SOURCE / paths[0]).read_text())
        self.assertEqual('[Filters]', self._python(
            os.fspath(_DEVSTACK / 'facts.py'), 'filters')[0])

    def _call(self, function: str, **machine: str) -> list[str]:
        """Return what a function of the plugin would have root do.

        :param function: its name, and its arguments
        :param machine: variables in capitals, and functions' bodies
        """
        functions = {'is_service_enabled': 'true', 'sudo': 'echo "$*"'}
        functions |= {name: body for name, body in machine.items()
                      if not name.isupper()}
        variables = {name: value for name, value in machine.items()
                     if name.isupper()}
        return self._bash(
            f'source {_DEVSTACK}/plugin.sh "" ""',
            *(f'function {name} {{ {body}; }}'
              for name, body in functions.items()),
            function, **variables)

    def _bash(self, *lines: str, **variables: str) -> list[str]:
        return subprocess.run(
            ['bash', '-euc', '\n'.join(lines)], check=True,
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, **variables}).stdout.splitlines()
