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

"""Copies of checkpoints, told from all that others leave beside them."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import Any

import ddt
import fixtures

from nova_docker import privsep
from nova_docker.privsep import checkpoints
from nova_docker.tests import base
from nova_docker.tests.functional import privileged

#: As CRIU names and containerd unpacks them.
IMAGES = {'cgroup.img': b'/docker/5f2a', 'core-1.img': b'registers',
          'inventory.img': b'version', 'pages-1.img': b'memory' * 50_000,
          'pstree.img': b'processes'}
_ELSE = 'elsewhere'
_WAITS = 'echo called; read _'
#: A set-uid program by a link of that name is called so, too.
_CALLED = f'printf containerd > /proc/self/comm; {_WAITS}'


def _add(copy: pathlib.Path) -> None:
    (copy / 'zeros.img').touch()


def _change(copy: pathlib.Path) -> None:
    (copy / 'core-1.img').write_bytes(b'Registers')


def _change_own(copy: pathlib.Path) -> None:
    os.chown(copy, 1000, 1000)


def _cut_early(copy: pathlib.Path) -> None:
    for name in ('inventory.img', 'pages-1.img', 'pstree.img'):
        (copy / name).unlink()


def _cut_in_between(copy: pathlib.Path) -> None:
    os.truncate(copy / 'pages-1.img', 4096)


def _lengthen(copy: pathlib.Path) -> None:
    with open(copy / 'pstree.img', 'ab') as file:
        file.write(b'more')


def _link(copy: pathlib.Path) -> None:
    copy.symlink_to(copy.rename(copy.with_name(_ELSE)))


def _make_pipe(copy: pathlib.Path) -> None:
    (copy / 'core-1.img').unlink()
    os.mkfifo(copy / 'core-1.img')


def _rename(copy: pathlib.Path) -> None:
    copy.rename(copy.with_name(f'{copy.name}-mine'))


def _replace(copy: pathlib.Path) -> None:
    shutil.rmtree(copy)
    copy.touch()


def _cut_late(copy: pathlib.Path) -> None:
    (copy / 'pstree.img').unlink()
    os.truncate(copy / 'pages-1.img', 4096)


@ddt.ddt
class CopiesTestCase(base.TestCase):
    """The tests are root's, and so are the processes that they start."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        privileged.use(cls, privsep.root_pctxt, 'docker_root_privileged')

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # Anybody runs the program in it.
        for path in (self.path, self.path.parent):
            path.chmod(0o711)
        self.program = str(self.path / 'containerd')
        shutil.copy('/bin/sh', self.program)
        self.directory = self.path / 'temporary'
        self.directory.mkdir()
        self.checkpoint = self.path / 'containers' / (
            '5f2a' * 16) / 'checkpoints' / 'nova'
        self.checkpoint.mkdir(parents=True)
        for name, content in IMAGES.items():
            (self.checkpoint / name).write_bytes(content)

    def start(self, *before: str, **how: Any) -> subprocess.Popen[str]:
        """Run a program of the name containerd, until the test ends."""
        return self.run_until_the_end(
            *before, self.program, '-c', _WAITS, **how)

    def run_until_the_end(self, *command: str,
                          **how: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env={'TMPDIR': str(self.directory), 'PATH': os.environ['PATH']}
            | how.pop('env', {}), **how)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout
        self.assertEqual('called\n', process.stdout.readline())
        return process

    def copy(self, number: int = 1) -> pathlib.Path:
        return pathlib.Path(shutil.copytree(
            self.checkpoint, self.directory / f'ctrd-checkpoint{number}'))

    def remove(self) -> int:
        return checkpoints.remove_copies(str(self.checkpoint))

    def left(self) -> list[str]:
        return sorted(os.listdir(self.directory))

    def test_all_are_removed(self) -> None:
        self.start()
        self.copy(1)
        self.copy(2)
        self.assertEqual(2, self.remove())
        self.assertEqual([], self.left())
        self.assertEqual(0, self.remove())
        self.assertEqual(sorted(IMAGES), sorted(os.listdir(self.checkpoint)))

    def test_where_go_makes_them(self) -> None:
        """XDG_RUNTIME_DIR comes first; an empty one is none."""
        self.start(env={'TMPDIR': '/nowhere',
                        'XDG_RUNTIME_DIR': str(self.directory)})
        self.copy()
        self.assertEqual(1, self.remove())
        self.start(env={'XDG_RUNTIME_DIR': ''})
        self.copy()
        self.assertEqual(1, self.remove())
        self.assertEqual([], self.left())

    def test_where_only_containerd_sees_them(self) -> None:
        """As with PrivateTmp of systemd."""
        process = self.start(
            'unshare', '--mount', 'sh', '-ec',
            f'mount -t tmpfs tmpfs {self.directory}; '
            f'cp -r {self.checkpoint} {self.directory}/ctrd-checkpoint1; '
            'exec "$@"', 'sh')
        seen = f'/proc/{process.pid}/root{self.directory}'
        self.assertEqual(['ctrd-checkpoint1'], os.listdir(seen))
        self.assertEqual(1, self.remove())
        self.assertEqual([], os.listdir(seen))

    def test_one_that_was_cut_short(self) -> None:
        """By a full disk, or since its removal was."""
        self.start()
        _cut_late(self.copy())
        self.assertEqual(1, self.remove())
        self.assertEqual([], self.left())

    @ddt.data(_add, _change, _change_own, _cut_early, _cut_in_between,
              _lengthen, _link, _make_pipe, _rename, _replace)
    def test_others_stay(self, make: Any) -> None:
        self.start()
        self.copy(1)
        make(self.copy(2))
        self.assertEqual(1, self.remove())
        left = self.left()
        self.assertEqual(_ELSE in left, len(left) == 2)
        self.assertNotIn('ctrd-checkpoint1', left)
        if _ELSE in left:
            self.assertEqual(sorted(IMAGES), sorted(
                os.listdir(self.directory / _ELSE)))

    def test_a_tenants_process_tells_nothing(self) -> None:
        """Its root and its variables are the tenant's to choose."""
        self.copy()
        self.start(user=1000)
        self.start('unshare', '--pid', '--fork', '--kill-child')
        self.assertEqual(0, self.remove())
        self.assertEqual(['ctrd-checkpoint1'], self.left())

    def test_what_is_only_called_so_tells_nothing(self) -> None:
        self.copy()
        self.run_until_the_end('sh', '-c', _CALLED)
        self.assertEqual(0, self.remove())
        self.assertEqual(['ctrd-checkpoint1'], self.left())

    def test_one_that_is_upgraded(self) -> None:
        self.copy()
        self.start()
        os.unlink(self.program)
        self.assertEqual(1, self.remove())

    def test_what_somebody_mounts_there_stays(self) -> None:
        self.start()
        mounted = self.copy()
        subprocess.run(['mount', '--bind', mounted, mounted], check=True)
        self.addCleanup(subprocess.run, ['umount', mounted], check=True)
        self.assertEqual(0, self.remove())
        self.assertEqual(sorted(IMAGES), sorted(os.listdir(mounted)))

    def test_one_that_can_not_be_removed(self) -> None:
        """The others are."""
        self.start()
        for number in range(3):
            self.copy(number)
        busy = self.directory / 'ctrd-checkpoint1' / 'pstree.img'
        subprocess.run(['mount', '--bind', busy, busy], check=True)
        self.addCleanup(subprocess.run, ['umount', busy], check=True)
        self.assertRaises(OSError, self.remove)
        self.assertEqual(['ctrd-checkpoint1'], self.left())

    def test_only_of_a_checkpoint(self) -> None:
        for path in (self.directory, self.checkpoint / '../nova',
                     self.checkpoint.parent):
            self.assertRaises(ValueError, checkpoints.remove_copies,
                              str(path))
