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

"""What no test can see on hosts whose root may not grow ext4, or are small."""

from __future__ import annotations

import struct

import ddt
import fixtures
from oslo_concurrency import processutils

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import filesystems
from nova_docker.tests import base

_POINT = ('/var/lib/nova/mounts/4b2c3a6e-0f3d-4a58-9f0e-0d1c2b3a4f5e'
          '/volumes/vdb')


class ActsTestCase(base.TestCase):
    """Privileged acts, done by this process and on anything."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', False))
        for name in ('block_device', 'mount_point'):
            self.useFixture(fixtures.MockPatchObject(
                checks, name, autospec=True))


class RoomTestCase(ActsTestCase):
    def test_of_one_with_more_blocks_than_32_bits_count(self) -> None:
        device = self.useFixture(fixtures.TempDir()).join('device')
        superblock = bytearray(1024)
        for offset, value in ((0x4, 7), (0x18, 2), (0x150, 1)):
            struct.pack_into('<I', superblock, offset, value)
        with open(device, 'wb') as file:
            file.write(bytes(1024) + superblock)
        self.assertEqual(2048 - ((1 << 32) + 7) * 4096, filesystems.room(
            'ext4', device, _POINT))


@ddt.ddt
class GrowTestCase(ActsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.execute = self.useFixture(fixtures.MockPatchObject(
            processutils, 'execute', autospec=True)).mock

    @ddt.data(('ext2', 'resize2fs', '/dev/sdb'),
              ('ext3', 'resize2fs', '/dev/sdb'),
              ('ext4', 'resize2fs', '/dev/sdb'),
              ('xfs', 'xfs_growfs', '-d', _POINT),
              ('btrfs', 'btrfs', 'filesystem', 'resize', 'max', _POINT))
    def test_the_tool_of_each(self, case: tuple[str, ...]) -> None:
        fstype, *command = case
        filesystems.grow(fstype, '/dev/sdb', _POINT)
        self.execute.assert_called_once_with(*command)

    def test_one_that_has_none(self) -> None:
        self.assertRaises(ValueError, filesystems.grow, 'gfs2',
                          '/dev/sdb', _POINT)
        self.execute.assert_not_called()
