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

"""Volumes after a nova-compute that was killed, wherever it was."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
import pathlib
import secrets
import signal
import subprocess
from unittest import mock

import ddt
from nova.network import model

from nova_docker.conf import CONF
from nova_docker import driver
from nova_docker import errors
from nova_docker.privsep import acts
from nova_docker.privsep import blocks
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import encryptor
from nova_docker.tests.functional.volumes import killing

Tool = Callable[..., None]


class VolumeCase(killing.KilledCase):
    """A server that runs, and a blank volume."""

    def setUp(self) -> None:
        super().setUp()
        self.instance = self.start()
        self.volume = self.make_volume()

    def attach_it(self, docker: driver.DockerDriver) -> None:
        docker.attach_volume(self.context, self.volume.connection,
                             self.instance, '/dev/vdb',
                             encryption=self.volume.encryption)

    def detach_it(self, docker: driver.DockerDriver) -> None:
        docker.detach_volume(self.context, self.volume.connection,
                             self.instance, '/dev/vdb')

    def write(self) -> str:
        """Write something on the volume, and return its digest."""
        (self.host_path(self.instance) / 'data').write_text(
            secrets.token_hex(1 << 16))
        return self.read()

    def read(self) -> str:
        """Return the digest of what the server reads."""
        return self.file_digest(self.instance, '/volumes/vdb/data')

    def check(self, volume: base.Volume) -> None:
        """See that a file system is whole."""
        base.run(*(('xfs_repair', '-n')
                   if CONF.docker.volume_filesystem == 'xfs'
                   else ('fsck.ext4', '-f', '-n')), volume.device)

    def assert_clean(self, *others: base.Volume) -> None:
        """See that nothing of volumes is on this host."""
        self.assert_nothing_left(self.instance, self.volume, *others)
        self.assertEqual([], [*pathlib.Path(
            CONF.state_path, 'connections').rglob('*')])
        self.assertEqual('', self.inside(self.instance, 'ls', '/volumes'))

    def assert_usable(self, docker: driver.DockerDriver) -> None:
        """See that it can be attached, written to and detached."""
        self.attach_it(docker)
        self.write()
        self.detach_it(docker)
        self.assert_clean()
        self.check(self.volume)


class KilledTestCase(VolumeCase):
    """The next action succeeds, and nothing leaks."""

    def test_while_it_attaches(self) -> None:
        def again(where: str | None) -> None:
            docker = self.restart()
            if where is not None:
                self.assert_clean()
            self.assert_usable(docker)
            self.drop(self.volume)
            self.volume = self.make_volume()

        self.kill_everywhere(self.attach_it, again)

    def test_while_it_detaches(self) -> None:
        def prepare() -> None:
            self.attach_it(self.restart())
            self.data = self.write()

        def again(_where: str | None) -> None:
            docker = self.restart()
            self.detach_it(docker)
            self.assert_clean()
            self.attach_it(docker)
            self.assertEqual(self.data, self.read())
            self.detach_it(docker)

        self.kill_everywhere(self.detach_it, again, prepare)

    def test_while_it_attaches_a_file_on_a_share(self) -> None:
        """It has a loop device for as long as it is mounted."""
        file = self.directory / 'volume'
        with file.open('wb') as content:
            content.truncate(64 * base.MIB)
        self.volume.connection['data']['device_path'] = str(file)

        def again(where: str | None) -> None:
            docker = self.restart()
            if where is not None:
                self.assert_clean()
            self.attach_it(docker)
            self.write()
            self.detach_it(docker)
            self.assert_clean()
            # The kernel keeps it for as long as any other looks at it.
            tests.wait_until(lambda: not base.run('losetup', '-j', file),
                             'its device is gone')

        self.kill_everywhere(self.attach_it, again)

    def test_while_the_host_is_down(self) -> None:
        """All mounts are gone; the next start has them again."""
        self.attach_it(self.restart())
        data = self.write()
        base.run('umount', self.host_path(self.instance))
        docker = self.restart()
        docker.resume_state_on_host_boot(
            self.context, self.instance, model.NetworkInfo(), {
                'block_device_mapping': [{
                    'connection_info': self.volume.connection,
                    'mount_device': '/dev/vdb'}]})
        self.assertEqual(data, self.read())


@ddt.ddt
class ToolTestCase(VolumeCase):
    """It is killed while a program makes a file system."""

    def killed_in(self, tool: str, instead: Tool) -> None:
        """Attach, and have a program replaced, which is the last act."""
        real = acts.run

        def run(lock: int, *command: str) -> None:
            if command[0] != tool:
                real(lock, *command)
                return
            instead(lock, *command)
            os.kill(os.getpid(), signal.SIGKILL)

        with mock.patch.object(acts, 'run', autospec=True, side_effect=run):
            self.assertEqual(-signal.SIGKILL, self.in_process(self.attach_it))

    @ddt.data(('ext4', 64, 0), ('ext4', 1024, 0), ('ext4', 64, 8),
              ('xfs', 320, 0), ('xfs', 320, 1))
    @ddt.unpack
    def test_that_dies_too(self, fstype: str, size: int, pieces: int
                           ) -> None:
        """What it had written is no foreign data.

        :param pieces: MiB that it had come to; all if 0
        """
        self.flags(volume_filesystem=fstype, group='docker')
        self.volume = self.make_volume(size)
        self.killed_in(f'mkfs.{fstype}', self._half(fstype, pieces))
        self.assertGreater(self.volume.file.stat().st_blocks, 0)
        docker = self.restart()
        self.assert_clean()
        self.assert_usable(docker)

    def _half(self, fstype: str, pieces: int) -> Tool:
        """Return what makes the part of a file system that comes first."""
        model_file = self.directory / 'model'

        def make(_lock: int, *command: str) -> None:
            with model_file.open('wb') as file:
                file.truncate(self.volume.file.stat().st_size)
            base.run(*(str(model_file) if each == self.volume.device else each
                       for each in command))
            first = 4096
            if fstype == 'xfs':
                base.run('xfs_db', '-x', '-c', 'sb 0',
                         '-c', 'write inprogress 1', model_file)
                first = 0
            base.run('dd', f'if={model_file}', f'of={self.volume.device}',
                     'bs=4096', f'skip={first // 4096}',
                     f'seek={first // 4096}', 'conv=sparse,notrunc,fsync',
                     *([f'count={pieces * 256}'] if pieces else []))
        return make

    @ddt.data(('ext4', 64), ('xfs', 384))
    @ddt.unpack
    def test_that_dies_too_on_an_encrypted_one(self, fstype: str, size: int
                                               ) -> None:
        """Beside what it had written, it left noise."""
        def half(_lock: int, *command: str) -> None:
            device = next(each for each in command
                          if each.startswith('/dev/'))
            base.run(*command)
            if fstype == 'xfs':
                base.run('xfs_db', '-x', '-c', 'sb 0',
                         '-c', 'write inprogress 1', device)
                return
            # It writes this last; until then, it has taken others away.
            base.run('dd', 'if=/dev/zero', f'of={device}', 'bs=1024',
                     'seek=1', 'count=3', 'conv=notrunc,fsync')

        self.use_encrypted(fstype, size)
        self.killed_in(f'mkfs.{fstype}', half)
        docker = self.restart()
        self.assert_clean()
        self.attach_it(docker)
        data = self.write()
        self.detach_it(docker)
        self.assert_clean()
        self.attach_it(docker)
        self.assertEqual(data, self.read())

    def test_before_it_begins_on_an_encrypted_one(self) -> None:
        """The mark alone is there."""
        self.use_encrypted('ext4', 64)
        self.killed_in('mkfs.ext4', lambda *_arguments: None)
        docker = self.restart()
        self.assert_clean()
        self.attach_it(docker)
        self.detach_it(docker)
        self.assert_clean()

    def test_another_has_used_an_encrypted_one_since(self) -> None:
        """A byte of theirs is theirs, mark or not."""
        self.use_encrypted('ext4', 64)
        self.killed_in('mkfs.ext4', lambda *_arguments: None)
        docker = self.restart()
        with encryptor.decrypted(self.volume.device) as file, file.open(
                'r+b') as content:
            content.seek(21 * base.MIB)
            content.write(b'x')
        before = self.volume.digest()
        self.assertRaises(errors.UnsuitableVolume, self.attach_it, docker)
        self.assert_clean()
        self.assertEqual(before, self.volume.digest())

    def use_encrypted(self, fstype: str, size: int) -> None:
        """Have a blank volume of an encrypted type."""
        self.useFixture(encryptor.dm_crypt())
        self.flags(volume_filesystem=fstype, group='docker')
        self.volume = self.make_volume(size)
        self.volume.encrypt()

    def test_that_dies_when_all_but_one_step_is_done(self) -> None:
        def half(lock: int, *command: str) -> None:
            base.run('debugfs', '-w', '-R', 'unlink lost+found',
                     command[-1])

        self.killed_in('debugfs', half)
        docker = self.restart()
        self.assert_clean()
        self.assert_usable(docker)

    def test_that_was_not_the_last_to_write(self) -> None:
        """Somebody else has used it since: it is theirs, mark or not."""
        def whole(_lock: int, *command: str) -> None:
            base.run(*command)

        self.killed_in('mkfs.ext4', whole)
        self.restart()
        place = self.directory / 'place'
        place.mkdir()
        base.run('mount', self.volume.device, place)
        (place / 'data').write_text('theirs')
        base.run('umount', place)
        self.attach_it(self.restart())
        self.assertEqual(hashlib.sha256(b'theirs').hexdigest(), self.read())

    def test_that_goes_on(self) -> None:
        """Nothing is done with the volume until that has ended."""
        def behind_the_gate(lock: int, *command: str) -> None:
            subprocess.Popen(
                ['sh', '-c', 'read line < "$0"; exec "$@"', str(gate),
                 *command], pass_fds=(lock,))

        real, seen = acts.is_idle, [True]

        def is_idle(descriptor: int) -> bool:
            found = real(descriptor)
            if seen == [True] and not found:
                gate.write_text('go on\n')
            seen.append(found)
            return found

        for tool in ('mkfs.ext4', 'debugfs', 'mount'):
            gate = self.directory / f'gate of {tool}'
            os.mkfifo(gate)
            self.killed_in(tool, behind_the_gate)
            with mock.patch.object(acts, 'is_idle', autospec=True,
                                   side_effect=is_idle):
                docker = self.restart()
            self.assertEqual((False, True), (seen[1], seen[-1]))
            self.wait_for_programs()
            self.assert_clean()
            self.assert_usable(docker)
            self.drop(self.volume)
            self.volume, seen = self.make_volume(), [True]


class MovedTestCase(VolumeCase):
    """It moves to other storage meanwhile: it is here or there, and whole."""

    def setUp(self) -> None:
        super().setUp()
        self.new = self.make_volume()
        self.was_new = False

    def move_it(self, docker: driver.DockerDriver) -> None:
        docker.swap_volume(self.context, self.volume.connection,
                           self.new.connection, self.instance, '/dev/vdb', 0)

    def begin(self) -> None:
        """Have two volumes, of which one is attached."""
        for each in (self.volume, self.new):
            self.drop(each)
        self.volume, self.new = self.make_volume(), self.make_volume()
        self.attach_it(self.restart())
        self.data = self.write()

    def test_everywhere(self) -> None:
        def again(where: str | None) -> None:
            docker = self.restart()
            self.assertEqual(self.data, self.read())
            is_new = self.new.is_open()
            self.assertNotEqual(is_new, self.volume.is_open())
            # There is one change from which on it has moved.
            self.assertLessEqual(self.was_new, is_new)
            self.was_new = is_new
            if where is None:
                self.assertTrue(is_new)
            self.write()
            self.detach_it(docker)
            self.assert_clean(self.new)
            self.check(self.new if is_new else self.volume)

        self.kill_everywhere(self.move_it, again, self.begin)

    def killed_in_the_copy(self) -> None:
        with mock.patch.object(
                blocks, 'copy', autospec=True, side_effect=lambda *_paths:
                os.kill(os.getpid(), signal.SIGKILL)):
            self.assertEqual(-signal.SIGKILL, self.in_process(self.move_it))

    def test_the_host_is_down_too(self) -> None:
        """Neither is mounted: the old one is the one."""
        self.begin()
        self.killed_in_the_copy()
        base.run('umount', self.host_path(self.instance))
        docker = self.restart()
        self.assertEqual(self.data, self.read())
        self.assertTrue(self.volume.is_open())
        self.detach_it(docker)
        self.assert_clean(self.new)

    def test_the_server_is_deleted(self) -> None:
        self.begin()
        self.killed_in_the_copy()
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assert_nothing_left(self.instance, self.volume, self.new)
