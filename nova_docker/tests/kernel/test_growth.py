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

"""Volumes that Cinder extends while they are written to."""

from __future__ import annotations

import os

import ddt

from nova import objects
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.kernel import base

#: It appends numbers to one file, which it has open, until it is told to end.
_WRITER = ('until touch /volumes/vdb/numbers; do sleep 0.1; done '
           '2>/dev/null; '
           'exec 3>> /volumes/vdb/numbers; number=0; '
           'until test -e /volumes/vdb/end; do number=$((number + 1)); '
           'echo $number >&3; done')


@ddt.ddt
class GrowthTestCase(base.KernelCase):
    """It grows at once, and the writer notices nothing."""

    @ddt.data('ext4', 'xfs')
    def test_a_device_of_this_host(self, fstype: str) -> None:
        self.flags(volume_filesystem=fstype, group='docker')
        self._check(self.make_volume(320))

    @ddt.data('ext4', 'xfs')
    def test_a_lun(self, fstype: str) -> None:
        self.flags(volume_filesystem=fstype, group='docker')
        self._check(self.make_iscsi(320))

    def _check(self, volume: volumes.Volume) -> None:
        instance = self.start(_WRITER)
        self.attach(instance, volume)
        self._wait_for_more(instance)
        before = self._room(instance)
        os.truncate(volume.file, 1024 * base.MIB)
        volumes.run('losetup', '--set-capacity', volume.device)
        self.attached.extend(self.context, instance, volume.connection)
        self.assertGreater(self._room(instance), before + 600 * base.MIB)
        self._wait_for_more(instance)
        self.inside(instance, 'touch', '/volumes/vdb/end')
        self.assertEqual(0, self.wait_for_end(instance))
        self._assert_counted(instance)
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def _room(self, instance: objects.Instance) -> int:
        """Return how many bytes the file system has."""
        figures = os.statvfs(self.host_path(instance))
        return figures.f_blocks * figures.f_frsize

    def _wait_for_more(self, instance: objects.Instance) -> None:
        """Wait until the writer has written more than it has by now."""
        file = self.host_path(instance) / 'numbers'
        tests.wait_until(file.exists, 'the workload writes')
        before = file.stat().st_size
        tests.wait_until(lambda: file.stat().st_size > before + 1000,
                         'the workload writes on')

    def _assert_counted(self, instance: objects.Instance) -> None:
        """See that no number is missing."""
        found = (self.host_path(instance) / 'numbers').read_text().split()
        self.assertEqual([*range(1, len(found) + 1)], [*map(int, found)])
