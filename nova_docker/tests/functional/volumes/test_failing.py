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

"""Shares whose server is away, and what else is mounted of them."""

from __future__ import annotations

import pathlib
import subprocess

import fixtures
from oslotest import base

from nova_docker import privsep
from nova_docker.privsep import mounts
from nova_docker.privsep import mounttable


class FailTestCase(base.BaseTestCase):
    """Shares that are failed; memory stands in for them.

    It has nobody who waits, so what is failed is unmounted at once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', False))
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path).resolve()
        self.useFixture(fixtures.MockPatchObject(
            mounts, '_SHARES', {'tmpfs'}))
        self.share = self._place('mnt', '0' * 32)
        _run('mount', '-t', 'tmpfs', 'none', self.share)
        self.addCleanup(self._unmount, self.share)

    def _place(self, *names: str) -> pathlib.Path:
        path = self.directory.joinpath(*names)
        path.mkdir(parents=True)
        return path

    def _unmount(self, path: pathlib.Path) -> None:
        if mounttable.find(str(path)):
            _run('umount', path)

    def test_a_share_of_volumes(self) -> None:
        self.assertTrue(mounts.fail(str(self.share)))
        self.assertIsNone(mounttable.find(str(self.share)))
        self.assertTrue(mounts.fail(str(self.share)))

    def test_a_part_is_mounted_somewhere_else(self) -> None:
        """As a server's own share, of the same export."""
        other, part = self._place('other'), self.share / 'part'
        part.mkdir()
        _run('mount', '--bind', part, other)
        self.addCleanup(self._unmount, other)
        self.assertFalse(mounts.fail(str(self.share)))
        self.assertIsNotNone(mounttable.find(str(self.share)))
        self.assertIsNotNone(mounttable.find(str(other)))
        self._unmount(other)
        self.assertTrue(mounts.fail(str(self.share)))
        self.assertIsNone(mounttable.find(str(self.share)))

    def test_a_share_of_the_host(self) -> None:
        home = self._place('home')
        _run('mount', '-t', 'tmpfs', 'none', home)
        self.addCleanup(self._unmount, home)
        self.assertRaises(ValueError, mounts.fail, str(home))
        self.assertIsNotNone(mounttable.find(str(home)))


def _run(*command: str | pathlib.Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
