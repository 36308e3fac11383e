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

"""nova-docker-status on this host, and on what is wrong with a host."""

from __future__ import annotations

import configparser
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import sys
import traceback
from typing import Any
from unittest import mock

import ddt
import fixtures
import nova.virt
import os_vif
from oslo_upgradecheck import upgradecheck

import nova_docker
from nova_docker.cmd import hostfacts
from nova_docker.cmd import outcome
from nova_docker.cmd import status
from nova_docker.conf import CONF
from nova_docker import resources
from nova_docker.tests.functional import base
from nova_docker.tests.functional.cmd import engines
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional import proxy

_GOOD = upgradecheck.Code.SUCCESS
_DOUBTFUL = upgradecheck.Code.WARNING
_BAD = upgradecheck.Code.FAILURE
_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]
_CONTEXTS = hostfacts._contexts()


def _helper(*arguments: str) -> str:
    """Return the command of privsep's helper, for this process's modules."""
    helper = pathlib.Path(sys.executable).with_name('privsep-helper')
    return ' '.join(['env', f'PYTHONPATH={":".join(sys.path)}', str(helper),
                     *arguments])


class StatusTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.commands = status.Commands()

    def expect(self, code: upgradecheck.Code, found: outcome.Result,
               *words: str) -> None:
        """Fail unless a check came to this, and says these words."""
        details = str(found.details)
        self.assertEqual(code, found.code, details)
        for word in words:
            self.assertIn(word, details)
        self.assertTrue(details.endswith('.'), details)


@ddt.ddt
class EngineTest(StatusTestCase):
    def altered(self, **changes: Any) -> status.Commands:
        """Let the engine say other things; return checks of it."""
        version = {**self.engine.version(), **changes}
        info = {**self.engine.info(), **changes}
        self.flags(group='docker', url=self.useFixture(
            engines.Engine(version, info)).url)
        return status.Commands()

    def test_it_answers(self) -> None:
        self.expect(_GOOD, self.commands.engine(),
                    self.engine.version()['Version'])
        self.expect(_GOOD, self.commands.access())
        self.expect(_GOOD, self.commands.cpus())

    def test_there_is_none(self) -> None:
        self.flags(group='docker', url='unix:///nowhere/docker.sock')
        self.expect(_BAD, self.commands.access(), '/nowhere/docker.sock')
        for check in (self.commands.engine, self.commands.control_groups,
                      self.commands.storage, self.commands.init):
            self.expect(_BAD, check(), 'does not answer')

    def test_it_hangs(self) -> None:
        self.useFixture(fixtures.MockPatchObject(status, '_PATIENCE', 1))
        wire = self.useFixture(proxy.Proxy(self.url))
        self.flags(group='docker', url=wire.url)
        wire.hang()
        self.expect(_BAD, self.commands.engine(), 'does not answer')

    def test_it_is_too_old(self) -> None:
        self.expect(_BAD, self.altered(
            ApiVersion='1.40', Version='19.03.15').engine(),
            '19.03.15', '20.10')

    def test_limits(self) -> None:
        info = self.engine.info()
        complete = all(info[field] for field in (
            'MemoryLimit', 'CpuCfsQuota', 'SwapLimit', 'PidsLimit', 'CPUSet'))
        self.expect(_GOOD if complete else _DOUBTFUL,
                    self.commands.control_groups(), info['CgroupVersion'])

    @ddt.data(('MemoryLimit', 'memory'), ('CpuCfsQuota', 'CPUs'))
    @ddt.unpack
    def test_no_limit_of_what_a_flavor_has(self, field: str,
                                           word: str) -> None:
        self.expect(_BAD, self.altered(
            **{field: False}).control_groups(), word)

    @ddt.data(('SwapLimit', 'swap'), ('PidsLimit', 'processes'),
              ('CPUSet', 'pinning'))
    @ddt.unpack
    def test_no_limit_of_something_else(self, field: str, word: str) -> None:
        self.expect(_DOUBTFUL, self.altered(
            **{field: False}).control_groups(), word)

    def test_storage(self) -> None:
        info = self.engine.info()
        enforced = resources.has_disk_quota(info)
        self.expect(_GOOD if enforced else _DOUBTFUL,
                    self.commands.storage(), info['Driver'])
        self.expect(_GOOD, self.altered(Driver='btrfs').storage(), 'btrfs')
        self.expect(_DOUBTFUL, self.altered(Driver='vfs').storage(),
                    'vfs', 'overlay2')

    def test_init(self) -> None:
        found = self.commands.init()
        self.expect(_GOOD if resources.has_init(self.engine.info())
                    else _DOUBTFUL, found, 'init')
        self.expect(_DOUBTFUL, self.altered(
            InitCommit={'ID': 'N/A'}).init(), 'docker-init', 'init-path')

    def test_cpus_that_no_server_can_have(self) -> None:
        self.flags(group='compute', cpu_dedicated_set='4094')
        self.expect(_BAD, self.commands.cpus(), 'cpu_dedicated_set')
        self.flags(group='compute', cpu_dedicated_set='0')
        self.expect(_BAD, self.altered(CPUSet=False).cpus(), 'cpuset')


class AccessTest(StatusTestCase):
    """Engine access, as a process of another user sees it."""

    def as_nobody(self, *groups: int) -> str:
        """Return what the check says to a user without privileges."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.setgroups(groups)
                os.setgid(65534)
                os.setuid(65534)
                found = hostfacts.access()
                os.write(writing,
                         f'{int(found.code)} {found.details}'.encode())
            except BaseException:
                os.write(writing, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, encoding='utf-8') as answer:
            said = answer.read()
        os.waitpid(child, 0)
        return said

    def socket(self) -> pathlib.Path:
        """Return a socket of root's, as an engine would make it."""
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for closed in (home, *home.parents):
            if not closed.stat().st_mode & stat.S_IXOTH:
                closed.chmod(0o711)
        path = home / 'docker.sock'
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        path.chmod(0o660)
        self.flags(group='docker', url=f'unix://{path}')
        return path

    def test_a_stranger(self) -> None:
        path = self.socket()
        said = self.as_nobody()
        self.assertEqual(str(int(_BAD)), said[0], said)
        self.assertIn(f'may not open {path}', said)
        self.assertIn('usermod --append --groups', said)

    def test_a_member_of_the_group(self) -> None:
        path = self.socket()
        said = self.as_nobody(path.stat().st_gid)
        self.assertEqual(str(int(_GOOD)), said[0], said)
        self.assertIn(f'may open {path}', said)


class SwitchTest(StatusTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(openvswitch.disconnect)
        # It has the option.
        os_vif.initialize()

    def database(self) -> openvswitch.Database:
        """Return a database of Open vSwitch that checks ask."""
        found = openvswitch.Database(
            self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(found.stop)
        self.flags(group='os_vif_ovs', ovsdb_connection=found.connection)
        return found

    def test_plugins(self) -> None:
        self.expect(_GOOD, self.commands.plugins(), 'ovs')

    def test_no_plugin(self) -> None:
        self.useFixture(fixtures.MockPatch(
            'importlib.metadata.entry_points', autospec=True,
            return_value=[]))
        self.expect(_BAD, self.commands.plugins(), 'os-vif')

    def test_it_answers(self) -> None:
        self.database().vsctl('--no-wait', 'add-br', 'br-int')
        self.expect(_GOOD, self.commands.switch(), 'br-int')

    def test_no_bridge(self) -> None:
        self.database()
        self.flags(group='neutron', ovs_bridge='br-other')
        self.expect(_DOUBTFUL, self.commands.switch(), 'br-other')

    def test_it_does_not_answer(self) -> None:
        self.database().stop()
        self.expect(_BAD, self.commands.switch(),
                    CONF.os_vif_ovs.ovsdb_connection)


class DaemonTest(StatusTestCase):
    def help_with(self, command: str) -> None:
        """Let every context start its daemon with a command."""
        for context in _CONTEXTS:
            context.stop()
            self.flags(group=context.cfg_section, helper_command=command)

    def test_they_start(self) -> None:
        self.help_with(_helper())
        self.expect(_GOOD, self.commands.daemons())
        self.assertEqual([], [each.cfg_section for each in _CONTEXTS
                              if each.channel is not None])

    def test_they_may_not(self) -> None:
        self.help_with('false')
        self.expect(_BAD, self.commands.daemons(),
                    '[docker_network_privileged]', '"false"', 'sudoers',
                    'docker.filters')

    def test_one_may_not(self) -> None:
        """Each context has a filter of its own."""
        self.help_with(_helper())
        self.flags(group='docker_mount_privileged', helper_command='false')
        self.expect(_BAD, self.commands.daemons(),
                    '[docker_mount_privileged]')

    def test_no_such_program(self) -> None:
        self.help_with('/nowhere/sudo nova-rootwrap')
        self.expect(_BAD, self.commands.daemons(), '/nowhere/sudo')

    def test_nobody_is_asked_for_a_password(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        sudo = home / 'sudo'
        sudo.write_text(
            f'#!/bin/sh\nprintf "%s " "$@" > {home}/said\nexit 1\n')
        sudo.chmod(0o755)
        self.help_with(f'{sudo} nova-rootwrap')
        self.expect(_BAD, self.commands.daemons(), str(sudo))
        self.assertIn('-n nova-rootwrap --privsep_context',
                      (home / 'said').read_text())


class HostTest(StatusTestCase):
    def test_proc_files(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.flags(group='docker', lxcfs='auto', lxcfs_path=str(home))
        self.expect(_DOUBTFUL, self.commands.proc_files(), str(home))
        self.flags(group='docker', lxcfs='required')
        self.expect(_BAD, self.commands.proc_files(), str(home))
        (home / 'proc').mkdir()
        (home / 'proc' / 'uptime').write_text('1.0 1.0')
        self.expect(_GOOD, self.commands.proc_files(), str(home))
        self.flags(group='docker', lxcfs='off')
        self.expect(_GOOD, self.commands.proc_files(), 'off')

    def test_clock(self) -> None:
        """Whether this host's is kept right is not ours to say."""
        self.assertIn(self.commands.clock().code, (_GOOD, _DOUBTFUL))

    def test_a_clock_that_is_kept_right_or_not(self) -> None:
        kept = self.useFixture(fixtures.MockPatchObject(
            hostfacts, '_is_synchronised', autospec=True)).mock
        kept.return_value = True
        self.expect(_GOOD, self.commands.clock())
        kept.return_value = False
        self.expect(_DOUBTFUL, self.commands.clock(), 'chrony')

    def test_a_clock_that_was_never_set(self) -> None:
        self.useFixture(fixtures.MockPatch(
            'time.time', autospec=True, return_value=0.0))
        self.expect(_BAD, self.commands.clock(), '1970')

    def test_the_driver_is_where_nova_looks(self) -> None:
        self._overlay(_SOURCE / 'nova' / 'virt', *nova.virt.__path__)
        self.expect(_BAD, self.commands.configuration(), 'compute_driver')
        self.flags(compute_driver='docker.DockerDriver')
        self.expect(_GOOD, self.commands.configuration())

    def test_the_driver_is_somewhere_else(self) -> None:
        self._overlay(self.useFixture(fixtures.TempDir()).path)
        self.flags(compute_driver='docker.DockerDriver')
        self.expect(_BAD, self.commands.configuration(), 'nova.virt.docker')

    def _overlay(self, *directories: str | pathlib.Path) -> None:
        """Let nova.virt have its modules in these directories."""
        self.useFixture(fixtures.MockPatchObject(
            nova.virt, '__path__', [str(each) for each in directories]))
        modules = mock.patch.dict(sys.modules)
        modules.start()
        self.addCleanup(modules.stop)
        sys.modules.pop('nova.virt.docker', None)


class CommandTest(StatusTestCase):
    """The command as it is run."""

    def configure(self, **options: str) -> str:
        """Write a nova.conf of a host and return its path."""
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path,
                            'nova.conf')
        sections: dict[str, dict[str, str]] = {
            'DEFAULT': {'compute_driver': 'docker.DockerDriver'},
            'docker': {'url': self.url, 'lxcfs': 'off', **options},
            'os_vif_ovs': {'ovsdb_connection': 'unix:/nowhere/db.sock'},
            **{context.cfg_section: {
                'helper_command': _helper('--config-file', str(path))}
               for context in _CONTEXTS}}
        written = configparser.RawConfigParser()
        written.read_dict(sections)
        with path.open('w') as file:
            written.write(file)
        return str(path)

    def run_command(self, *arguments: str,
                    **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-m', 'nova_docker.cmd.status', *arguments],
            env={**os.environ, 'PYTHONPATH': ':'.join(sys.path), **env},
            capture_output=True, text=True, check=False, timeout=600)

    def results(self, ran: subprocess.CompletedProcess[str]
                ) -> dict[str, dict[str, Any]]:
        self.assertTrue(ran.stdout, ran.stderr)
        return {each['check']: each
                for each in json.loads(ran.stdout)['checks']}

    def test_json(self) -> None:
        ran = self.run_command('--config-file', self.configure(), 'upgrade',
                               'check', '--json')
        found = self.results(ran)
        self.assertEqual(2, ran.returncode, str(found))
        for name in ('Engine access', 'Docker Engine', 'CPUs', 'LXCFS',
                     'VIF plug-ins', 'Privileged daemons'):
            self.assertEqual(int(_GOOD), found[name]['result'],
                             str(found[name]))
        self.assertEqual(int(_BAD), found['Open vSwitch']['result'])

    def test_the_files_that_nova_compute_finds(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (home / '.nova').mkdir()
        (home / '.nova' / 'nova.conf').write_text(
            '[DEFAULT]\ncompute_driver = fake.FakeDriver\n')
        shutil.copy(self.configure(), home / '.nova' / 'nova-compute.conf')
        ran = self.run_command('upgrade', 'check', '--json', HOME=str(home))
        found = self.results(ran)
        self.assertEqual(int(_GOOD), found['Docker Engine']['result'],
                         str(found))
        self.assertNotIn('compute_driver', found['Configuration']['details'])

    def test_an_option_without_a_meaning(self) -> None:
        ran = self.run_command(
            '--config-file', self.configure(url='tcp://nowhere'), 'upgrade',
            'check', '--json')
        found = self.results(ran)['Configuration']
        self.assertEqual(int(_BAD), found['result'])
        self.assertIn('tcp://nowhere', found['details'])
        self.assertEqual(2, ran.returncode)

    def test_a_configuration_that_is_not_there(self) -> None:
        ran = self.run_command('--config-file', '/nowhere/nova.conf',
                               'upgrade', 'check')
        self.assertEqual(255, ran.returncode)
        self.assertIn('/nowhere/nova.conf', ran.stderr)
        self.assertNotIn('Traceback', ran.stderr)

    def test_table(self) -> None:
        ran = self.run_command('--config-file', self.configure(), 'upgrade',
                               'check')
        self.assertIn('| Check: Docker Engine', ran.stdout)
        self.assertIn('| Result: Success', ran.stdout)

    def test_help_tells_of_every_check(self) -> None:
        for arguments in (['--help'], ['upgrade', '--help']):
            ran = self.run_command(*arguments)
            self.assertEqual(0, ran.returncode)
            for name, _check in status.Commands._upgrade_checks:
                self.assertIn(f'\n  {name} ', ran.stdout)
