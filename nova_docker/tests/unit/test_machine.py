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

"""The virtual machine of contrib/test, as far as none is started."""

import importlib.util
import pathlib
import sys
from typing import Any
from unittest import mock

import fixtures
from oslotest import base

import nova_docker

_TESTING = pathlib.Path(nova_docker.__file__).parents[1] / 'contrib/testing'


class MachineTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(
            'sys.path', [str(_TESTING), *sys.path]))
        spec = importlib.util.spec_from_file_location(
            'machine', _TESTING / 'machine.py')
        assert spec and spec.loader
        self.machine: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.machine)
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.job = self.home / 'job'
        self.job.mkdir()
        self.made = self.machine.Machine(self.home, {}, self.home / 'log')
        self.useFixture(fixtures.MockPatchObject(
            self.machine.os, 'access', autospec=True, return_value=False))

    def _run(self, code: int, status: str | None = None) -> tuple[int, Any]:
        def run(*args: Any, **kwargs: Any) -> int:
            if status is not None:
                (self.job / 'status').write_text(status)
            return code

        with mock.patch.object(self.machine.process, 'run', autospec=True,
                               side_effect=run) as called:
            return self.made.run('true', [pathlib.Path('/some dir')],
                                 self.job, minutes=2), called

    def test_the_script_says_how_it_ended(self) -> None:
        self.assertEqual(3, self._run(0, '3\n')[0])
        self.assertEqual(0, self._run(0, '0\n')[0])

    def test_it_is_no_success_to_say_nothing(self) -> None:
        (self.job / 'status').write_text('0')
        self.assertEqual(1, self._run(0)[0])
        self.assertEqual(124, self._run(124)[0])

    def test_what_it_sees(self) -> None:
        _code, called = self._run(0)
        command = called.call_args.args[0]
        self.assertIn('local,path=/some dir,mount_tag=shown0,'
                      'security_model=none,readonly=on', command)
        self.assertIn(f'local,path={self.job},mount_tag=job,'
                      'security_model=none,readonly=off', command)
        self.assertIn("mkdir -p '/some dir'\n",
                      (self.job / 'run').read_text())

    def test_another_content_is_another_disk(self) -> None:
        before = self.machine._digest()
        self.machine.PACKAGES += ('more',)
        self.assertNotEqual(before, self.machine._digest())

    def test_a_processor_that_does_not_do_what_it_says(self) -> None:
        self.machine.os.access.return_value = True
        with mock.patch.object(self.machine.process, 'run', autospec=True,
                               return_value=1):
            self.assertEqual('tcg,thread=multi', self.made._accelerator())
