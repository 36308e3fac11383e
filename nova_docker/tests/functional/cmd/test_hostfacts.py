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

"""What is right and wrong with a host beside its engine."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
import sys
import traceback
from unittest import mock

import fixtures
import nova.virt
import os_vif

import nova_docker
from nova_docker.cmd import hostfacts
from nova_docker.conf import CONF
from nova_docker.tests.functional.cmd import checks
from nova_docker.tests.functional.network import openvswitch

_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]


class AccessTest(checks.StatusTestCase):
    """Engine access, as a process of another user sees it."""

    def as_nobody(self, *groups: int, user: int = 65534) -> str:
        """Return what the check says to a user without privileges."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.setgroups(groups)
                os.setgid(65534)
                os.setuid(user)
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
        self.assertEqual(str(int(checks.BAD)), said[0], said)
        self.assertIn(f'may not open {path}', said)
        self.assertIn('usermod --append --groups', said)

    def test_numbers_without_a_name(self) -> None:
        """As in a container that has the socket of the host."""
        path = self.socket()
        os.chown(path, 0, 54321)
        said = self.as_nobody(user=54322)
        self.assertEqual(str(int(checks.BAD)), said[0], said)
        for word in ('user 54322', str(path), 'groupadd --gid 54321'):
            self.assertIn(word, said)

    def test_a_member_of_the_group(self) -> None:
        path = self.socket()
        said = self.as_nobody(path.stat().st_gid)
        self.assertEqual(str(int(checks.GOOD)), said[0], said)
        self.assertIn(f'may open {path}', said)


class SwitchTest(checks.StatusTestCase):
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
        self.expect(checks.GOOD, self.commands.plugins(), 'ovs')

    def test_no_plugin(self) -> None:
        self.useFixture(fixtures.MockPatch(
            'importlib.metadata.entry_points', autospec=True,
            return_value=[]))
        self.expect(checks.BAD, self.commands.plugins(), 'os-vif')

    def test_it_answers(self) -> None:
        self.database().vsctl('--no-wait', 'add-br', 'br-int')
        self.expect(checks.GOOD, self.commands.switch(), 'br-int')

    def test_no_bridge(self) -> None:
        self.database()
        self.flags(group='neutron', ovs_bridge='br-other')
        self.expect(checks.DOUBTFUL, self.commands.switch(), 'br-other')

    def test_it_does_not_answer(self) -> None:
        self.database().stop()
        self.expect(checks.BAD, self.commands.switch(),
                    CONF.os_vif_ovs.ovsdb_connection)


class DaemonTest(checks.StatusTestCase):
    def help_with(self, command: str) -> None:
        """Let every context start its daemon with a command."""
        for context in checks.CONTEXTS:
            context.stop()
            self.flags(group=context.cfg_section, helper_command=command)

    def test_they_start(self) -> None:
        self.help_with(checks.privsep_helper())
        self.expect(checks.GOOD, self.commands.daemons())
        self.assertEqual([], [each.cfg_section for each in checks.CONTEXTS
                              if each.channel is not None])

    def test_they_may_not(self) -> None:
        self.help_with('false')
        self.expect(checks.BAD, self.commands.daemons(),
                    '[docker_network_privileged]', '"false"', 'sudoers',
                    'docker.filters')

    def test_one_may_not(self) -> None:
        """Each context has a filter of its own."""
        self.help_with(checks.privsep_helper())
        self.flags(group='docker_mount_privileged', helper_command='false')
        self.expect(checks.BAD, self.commands.daemons(),
                    '[docker_mount_privileged]')

    def test_no_such_program(self) -> None:
        self.help_with('/nowhere/sudo nova-rootwrap')
        self.expect(checks.BAD, self.commands.daemons(), '/nowhere/sudo')

    def test_nobody_is_asked_for_a_password(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        sudo = home / 'sudo'
        sudo.write_text(
            f'#!/bin/sh\nprintf "%s " "$@" > {home}/said\nexit 1\n')
        sudo.chmod(0o755)
        self.help_with(f'{sudo} nova-rootwrap')
        self.expect(checks.BAD, self.commands.daemons(), str(sudo))
        self.assertIn('-n nova-rootwrap --privsep_context',
                      (home / 'said').read_text())


class HostTest(checks.StatusTestCase):
    def test_proc_files(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.flags(group='docker', lxcfs='auto', lxcfs_path=str(home))
        self.expect(checks.DOUBTFUL, self.commands.proc_files(), str(home))
        self.flags(group='docker', lxcfs='required')
        self.expect(checks.BAD, self.commands.proc_files(), str(home))
        (home / 'proc').mkdir()
        (home / 'proc' / 'uptime').write_text('1.0 1.0')
        self.expect(checks.GOOD, self.commands.proc_files(), str(home))
        self.flags(group='docker', lxcfs='off')
        self.expect(checks.GOOD, self.commands.proc_files(), 'off')

    def test_clock(self) -> None:
        """Whether this host's is kept right is not ours to say."""
        self.assertIn(self.commands.clock().code,
                      (checks.GOOD, checks.DOUBTFUL))

    def test_a_clock_that_is_kept_right_or_not(self) -> None:
        kept = self.useFixture(fixtures.MockPatchObject(
            hostfacts, '_is_synchronised', autospec=True)).mock
        kept.return_value = True
        self.expect(checks.GOOD, self.commands.clock())
        kept.return_value = False
        self.expect(checks.DOUBTFUL, self.commands.clock(), 'chrony')

    def test_a_clock_that_was_never_set(self) -> None:
        self.useFixture(fixtures.MockPatch(
            'time.time', autospec=True, return_value=0.0))
        self.expect(checks.BAD, self.commands.clock(), '1970')

    def test_the_driver_is_where_nova_looks(self) -> None:
        self._overlay(_SOURCE / 'nova' / 'virt', *nova.virt.__path__)
        self.expect(checks.BAD, self.commands.configuration(),
                    'compute_driver')
        self.flags(compute_driver='docker.DockerDriver')
        self.expect(checks.GOOD, self.commands.configuration())

    def test_the_driver_is_somewhere_else(self) -> None:
        self._overlay(self.useFixture(fixtures.TempDir()).path)
        self.flags(compute_driver='docker.DockerDriver')
        self.expect(checks.BAD, self.commands.configuration(),
                    'nova.virt.docker')

    def _overlay(self, *directories: str | pathlib.Path) -> None:
        """Let nova.virt have its modules in these directories."""
        self.useFixture(fixtures.MockPatchObject(
            nova.virt, '__path__', [str(each) for each in directories]))
        modules = mock.patch.dict(sys.modules)
        modules.start()
        self.addCleanup(modules.stop)
        sys.modules.pop('nova.virt.docker', None)
