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

"""Where what is mounted for instances appears, with real mounts."""

from __future__ import annotations

import os
import subprocess

import fixtures
from oslotest import base

from nova_docker import privsep
from nova_docker.privsep import mounttable
from nova_docker.volumes import propagate


class PropagationTestCase(base.BaseTestCase):
    """Below a mount that is shared, as systemd makes that of ``/``."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', False))
        parent = self.useFixture(fixtures.TempDir()).path
        self.addCleanup(_run, 'umount', '--recursive', parent)
        _run('mount', '-t', 'tmpfs', 'none', parent)
        _run('mount', '--make-shared', parent)
        self.root = os.path.join(parent, 'mounts')
        self.points = propagate.Propagation(self.root)

    def _mounts(self, point: str) -> list[mounttable.Mount]:
        return [each for each in mounttable.mounts() if each.point == point]

    def test_nothing_is_mounted_twice(self) -> None:
        self.points.prepare()
        point = os.path.join(self.root, 'volume')
        os.mkdir(point)
        _run('mount', '-t', 'tmpfs', 'none', point)
        self.assertEqual(1, len(self._mounts(point)))

    def test_it_is_prepared_once(self) -> None:
        self.points.prepare()
        self.points.prepare()
        [found] = self._mounts(self.root)
        self.assertTrue(found.shared)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
