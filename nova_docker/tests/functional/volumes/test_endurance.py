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

"""Many cycles under load, and a nova-compute that is killed at each step."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any
from unittest import mock

import ddt
import fixtures

from nova_docker.privsep import blocks
from nova_docker.privsep import mounts
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import connector
from nova_docker.volumes import records

_CYCLES = 50
#: Writes numbered files, each whole before it has its name, and counts them.
_WRITER = (
    'n=0; while :; do if [ -e /volumes/vdb/ready ] && '
    'head -c 65536 /dev/urandom > /volumes/vdb/part && '
    'mv /volumes/vdb/part /volumes/vdb/$n; then n=$((n + 1)); '
    'else sleep 0.05; fi; done 2> /dev/null')


class CyclesTestCase(base.VolumesTestCase):
    def test_no_byte_is_lost_and_nothing_left(self) -> None:
        """A writer never stops; what it had finished is there afterwards."""
        self.flags(volume_detach_timeout=tests.PATIENCE, group='docker')
        instance, volume = self.start(_WRITER), self.make_volume(512)
        seen: dict[str, str] = {}
        for cycle in range(_CYCLES):
            self.attach(instance, volume)
            point = self.host_path(instance)
            found = self._digests(instance)
            self.assertEqual(seen, {name: found.get(name) for name in seen},
                             f'before cycle {cycle}')
            self._let_write(point, len(found))
            self.detach(instance, volume)
            seen = self._finished(volume, instance)
        self.assertGreaterEqual(len(seen), _CYCLES)
        self.assert_nothing_left(instance, volume)
        # The test's own, and no other.
        self.assertEqual(volume.device, base.run(
            'losetup', '--noheadings', '--output', 'NAME', '--associated',
            volume.file).strip())
        base.run('fsck.ext4', '-f', '-n', volume.device)

    def _let_write(self, point: pathlib.Path, known: int) -> None:
        """Let the writer go on until there is more than was known."""
        (point / 'ready').touch()
        tests.wait_until(lambda: len(list(point.glob('[0-9]*'))) > known,
                         'something is written')
        (point / 'ready').unlink()

    def _digests(self, instance: Any) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in self.host_path(instance).glob('[0-9]*')}

    def _finished(self, volume: base.Volume, instance: Any
                  ) -> dict[str, str]:
        """Return what a second server, which has the volume, sees on it."""
        other = self.make_instance()
        self.attach(other, volume)
        found = self._digests(other)
        self.detach(other, volume)
        return found


class Killed(BaseException):
    """nova-compute ends here: nothing of it runs any more."""


@ddt.ddt
class KilledTestCase(base.VolumesTestCase):
    """A process that is killed cleans up nothing; the next one must."""

    def die(self, owner: Any, name: str, after: bool) -> None:
        """Let the process end before or after a step."""
        real = getattr(owner, name)

        def step(*args: Any, **kwargs: Any) -> Any:
            if after:
                real(*args, **kwargs)
            raise Killed
        patch = mock.patch.object(owner, name, autospec=True,
                                  side_effect=step)
        # Not even a cleaning up that was under way.
        self._dead = [patch, mock.patch.object(
            type(self.attachments), '_give_up', autospec=True)]
        for each in self._dead:
            each.start()

    def restart(self) -> None:
        """Start nova-compute again."""
        for each in self._dead:
            each.stop()
        self.attached.prepare()

    @ddt.data(*(
        (owner, name, after) for owner, name in (
            (connector, 'connect'), (blocks, 'identify'),
            (blocks, 'make_file_system'), (mounts, 'attach'))
        for after in (False, True)), (records.Records, 'save', True))
    @ddt.unpack
    def test_while_it_attaches(self, owner: Any, name: str,
                               after: bool) -> None:
        instance, volume = self.start(), self.make_volume()
        self.die(owner, name, after)
        self.assertRaises(Killed, self.attach, instance, volume)
        self.restart()
        self.assert_nothing_left(instance, volume)
        self.attach(instance, volume)
        self.inside(instance, 'touch', '/volumes/vdb/file')
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    @ddt.data(*(
        (owner, name, after) for owner, name in (
            (mounts, 'detach'), (blocks, 'is_free'),
            (connector, 'disconnect'), (records.Records, 'save'),
            (records.Records, 'remove'))
        for after in (False, True)))
    @ddt.unpack
    def test_while_it_detaches(self, owner: Any, name: str,
                               after: bool) -> None:
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        self.die(owner, name, after)
        self.assertRaises(Killed, self.detach, instance, volume)
        self.restart()
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)
        self.attach(instance, volume)
        self.assertEqual('kept\n', self.inside(instance, 'cat',
                                               '/volumes/vdb/file'))

    def test_while_the_host_is_down(self) -> None:
        """All mounts are gone; the next start has them again."""
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c', 'echo kept > /volumes/vdb/file')
        base.run('umount', self.host_path(instance))
        self.attached.prepare()
        self.attached.ensure(self.context, instance)
        self.assertEqual('kept\n', self.inside(instance, 'cat',
                                               '/volumes/vdb/file'))


class StepsTestCase(base.VolumesTestCase):
    def test_a_failure_takes_back_every_step(self) -> None:
        for owner, name in ((connector, 'connect'), (blocks, 'identify'),
                            (blocks, 'make_file_system'),
                            (mounts, 'attach')):
            instance, volume = self.make_instance(), self.make_volume()
            patch = fixtures.MockPatchObject(owner, name, autospec=True,
                                             side_effect=OSError('broken'))
            with patch:
                self.assertRaises(OSError, self.attach, instance, volume)
            self.assert_nothing_left(instance, volume)
