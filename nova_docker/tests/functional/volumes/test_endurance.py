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

"""Many cycles under load, and a failure at each step."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import fixtures

from nova_docker.privsep import filesystems
from nova_docker.privsep import mounts
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import connector

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


class StepsTestCase(base.VolumesTestCase):
    def test_a_failure_takes_back_every_step(self) -> None:
        for owner, name in ((connector, 'connect'), (filesystems, 'identify'),
                            (filesystems, 'make'),
                            (mounts, 'attach')):
            instance, volume = self.make_instance(), self.make_volume()
            patch = fixtures.MockPatchObject(owner, name, autospec=True,
                                             side_effect=OSError('broken'))
            with patch:
                self.assertRaises(OSError, self.attach, instance, volume)
            self.assert_nothing_left(instance, volume)
