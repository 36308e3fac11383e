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

"""Where the links lead that stand for LXCFS's files."""

from __future__ import annotations

import os
import pathlib
import threading

import fixtures

from nova import exception
from nova_docker import lxcfs
from nova_docker.privsep import checks
from nova_docker import spec
from nova_docker.tests import base


class LxcfsTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.flags(state_path=str(self.home / 'state'))
        self.flags(group='docker', lxcfs='auto',
                   lxcfs_path=str(self.home / 'lxcfs'))

    def serve(self, text: str = '1.0 1.0\n') -> None:
        (self.home / 'lxcfs' / 'proc').mkdir(parents=True, exist_ok=True)
        (self.home / 'lxcfs' / 'proc' / 'uptime').write_text(text)

    def target(self) -> str:
        """Return where the link leads to."""
        link = lxcfs.directory()
        assert link is not None
        return os.readlink(link)

    def test_off(self) -> None:
        self.serve()
        self.flags(group='docker', lxcfs='off')
        lxcfs.prepare()
        self.assertIsNone(lxcfs.directory())
        self.assertIsNone(lxcfs.serving())
        self.assertFalse((self.home / 'state').exists())

    def test_it_comes_and_goes(self) -> None:
        lxcfs.prepare()
        self.assertEqual('/', self.target())
        self.serve()
        lxcfs.prepare()
        self.assertEqual(str(self.home / 'lxcfs'), lxcfs.serving())
        self.assertEqual(str(self.home / 'lxcfs'), self.target())
        (self.home / 'lxcfs' / 'proc' / 'uptime').unlink()
        lxcfs.prepare()
        self.assertEqual('/', self.target())

    def test_what_only_looks_like_it(self) -> None:
        """The engine makes directories of what it does not find."""
        (self.home / 'lxcfs' / 'proc' / 'uptime').mkdir(parents=True)
        self.assertIsNone(lxcfs.serving())
        (self.home / 'lxcfs' / 'proc' / 'uptime').rmdir()
        self.serve('')
        self.assertIsNone(lxcfs.serving())

    def test_one_that_stands_still(self) -> None:
        """A pipe, too, has who reads wait until somebody writes."""
        self.serve()
        uptime = self.home / 'lxcfs' / 'proc' / 'uptime'
        uptime.unlink()
        os.mkfifo(uptime)
        with fixtures.MockPatchObject(lxcfs, '_PATIENCE', 0.01):
            self.assertIsNone(lxcfs.serving())
        [looker] = self.lookers()
        # Who comes later does not wait.
        lxcfs.prepare()
        self.assertEqual('/', self.target())
        self.assertEqual([looker], self.lookers())
        uptime.write_text('1.0 1.0\n')
        looker.join(base.PATIENCE)
        uptime.unlink()
        self.serve()
        self.assertEqual(str(self.home / 'lxcfs'), lxcfs.serving())

    def lookers(self) -> list[threading.Thread]:
        return [each for each in threading.enumerate()
                if each.name == 'lxcfs']

    def test_required(self) -> None:
        self.flags(group='docker', lxcfs='required')
        error = self.assertRaises(exception.HypervisorUnavailable,
                                  lxcfs.prepare)
        self.assertIn(f'{self.home}/lxcfs', str(error))
        lxcfs.aim()
        self.serve()
        lxcfs.prepare()

    def test_the_privileged_side_knows_every_file(self) -> None:
        for name in spec.LXCFS_FILES:
            checks.proc_file(os.path.basename(name))
        for name in ('kcore', '../proc/cpuinfo', 'sys', ''):
            self.assertRaises(ValueError, checks.proc_file, name)
