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
import pathlib
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

    def _mounts(self, point: str, pid: int | None = None
                ) -> list[mounttable.Mount]:
        """Return what is mounted at a path, as a process sees it."""
        table = pathlib.Path(f'/proc/{pid or "self"}/mountinfo')
        return [each for each in mounttable.mounts(table)
                if each.point == point]

    def _mount(self) -> str:
        point = os.path.join(self.root, 'volume')
        os.mkdir(point)
        _run('mount', '-t', 'tmpfs', 'none', point)
        return point

    def _namespace(self, propagation: str) -> int:
        """Return a process in a mount namespace of its own."""
        process = subprocess.Popen(
            ['unshare', '--mount', '--propagation', propagation,
             'sh', '-c', 'echo; exec sleep infinity'],
            stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        return process.pid

    def test_nothing_is_mounted_twice(self) -> None:
        self.points.prepare()
        self.assertEqual(1, len(self._mounts(self._mount())))

    def test_mounts_reach_a_namespace_that_was_there_before(self) -> None:
        """As an engine's does that was started before nova-compute."""
        others = [self._namespace(each) for each in ('unchanged', 'slave')]
        self.points.prepare()
        point = self._mount()
        self.assertEqual([1, 1], [len(self._mounts(point, pid))
                                  for pid in others])
        _run('umount', point)
        self.assertEqual([[], []], [self._mounts(point, pid)
                                    for pid in others])

    def test_it_is_prepared_once(self) -> None:
        self.points.prepare()
        self.points.prepare()
        [found] = self._mounts(self.root)
        self.assertTrue(found.shared)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
