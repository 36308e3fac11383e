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

"""nova-docker-status as it is run on this host."""

from __future__ import annotations

import configparser
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import fixtures

from nova_docker.cmd import hostfacts
from nova_docker.cmd import status
from nova_docker.tests.functional.cmd import checks


class CommandTest(checks.StatusTestCase):
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
                'helper_command': checks.privsep_helper('--config-file',
                                                        str(path))}
               for context in checks.CONTEXTS}}
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
            self.assertEqual(int(checks.GOOD), found[name]['result'],
                             str(found[name]))
        self.assertEqual(int(checks.BAD), found['Open vSwitch']['result'])

    def test_the_files_that_nova_compute_finds(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (home / '.nova').mkdir()
        (home / '.nova' / 'nova.conf').write_text(
            '[DEFAULT]\ncompute_driver = fake.FakeDriver\n')
        shutil.copy(self.configure(), home / '.nova' / 'nova-compute.conf')
        ran = self.run_command('upgrade', 'check', '--json', HOME=str(home))
        found = self.results(ran)
        self.assertEqual(int(checks.GOOD), found['Docker Engine']['result'],
                         str(found))
        self.assertNotIn('compute_driver', found['Configuration']['details'])

    def test_the_directory_that_nova_compute_finds(self) -> None:
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        directory = home / '.nova' / 'nova-compute.conf.d'
        directory.mkdir(parents=True)
        shutil.copy(self.configure(), directory / 'docker.conf')
        ran = self.run_command('upgrade', 'check', '--json', HOME=str(home))
        found = self.results(ran)
        self.assertEqual(int(checks.GOOD), found['Docker Engine']['result'],
                         str(found))
        self.assertNotIn('compute_driver', found['Configuration']['details'])

    def test_a_check_that_fails_itself(self) -> None:
        self.useFixture(fixtures.MockPatchObject(
            hostfacts, 'clock', autospec=True, side_effect=KeyError('what')))
        self.expect(checks.BAD, self.commands.clock(), "KeyError('what')")

    def test_an_option_without_a_meaning(self) -> None:
        ran = self.run_command(
            '--config-file', self.configure(url='tcp://nowhere'), 'upgrade',
            'check', '--json')
        found = self.results(ran)['Configuration']
        self.assertEqual(int(checks.BAD), found['result'])
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
