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

"""What is taken for a file system that was not finished."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
import struct
import uuid

import fixtures

from nova_docker.privsep import unfinished
from nova_docker.tests import base

_SIZE = 1 << 20


class UnfinishedTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.uuid = uuid.uuid4()
        self.device = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'device')
        self.device.write_bytes(bytes(_SIZE))

    def is_unfinished(self, of: uuid.UUID | None = None,
                      found: Mapping[str, str] | None = None) -> bool:
        """Ask for a file system, by default the one that was begun."""
        return any(kind(str(self.device), of or self.uuid, found or {})
                   for kind in (unfinished.is_ext4, unfinished.is_xfs))

    def write(self, offset: int, content: bytes) -> None:
        """Write on the device, as mkfs and others do."""
        with self.device.open('r+b') as file:
            file.seek(offset)
            file.write(content)

    def write_ext4(self, mounted: int, count: int,
                   of: uuid.UUID | None = None, used: int = 11,
                   orphans: int = 0) -> None:
        """Write what matters of a superblock."""
        self.write(1024, struct.pack('<I12xI', 128, 128 - used))
        self.write(1024 + 0x2c, struct.pack('<IIHHH', mounted, 1, count, 0,
                                            0xef53))
        self.write(1024 + 0x68, (of or self.uuid).bytes)
        self.write(1024 + 0x280, struct.pack('<I', orphans))

    def test_nothing_was_begun(self) -> None:
        self.assertFalse(self.is_unfinished())

    def test_it_was_begun(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        self.assertTrue(self.is_unfinished())
        self.write(_SIZE // 2, b'what mkfs has written')
        self.assertTrue(self.is_unfinished())

    def test_it_was_ended(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        unfinished.end(str(self.device))
        self.assertFalse(self.is_unfinished())
        self.assertEqual(bytes(_SIZE), self.device.read_bytes())

    def test_another_one(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        self.assertFalse(self.is_unfinished(uuid.uuid4()))

    def test_something_else_came_after_it(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        self.write(0, b'somebody has no use for a file system')
        self.assertFalse(self.is_unfinished())

    def test_something_behind_it(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        self.write(_SIZE - 1, b'x')
        self.assertFalse(self.is_unfinished())

    def test_something_with_a_signature_elsewhere(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        for found in ({'TYPE': 'linux_raid_member', 'UUID': 'another'},
                      {'TYPE': 'several signatures'}, {'PTTYPE': 'gpt'},
                      {'UUID': str(self.uuid), 'PTTYPE': 'dos'}):
            self.assertFalse(self.is_unfinished(found=found))

    def test_ext4_that_nobody_has_mounted(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        for used, orphans in ((10, 0), (11, 0), (12, 12)):
            self.write_ext4(0, 0, used=used, orphans=orphans)
            self.assertTrue(self.is_unfinished())
            self.assertTrue(self.is_unfinished(
                found={'UUID': str(self.uuid)}))

    def test_ext4_that_was_filled_without_a_mount(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        for used, orphans in ((12, 0), (13, 12)):
            self.write_ext4(0, 0, used=used, orphans=orphans)
            self.assertFalse(self.is_unfinished())

    def test_ext4_that_was_mounted(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        for mounted, count in ((1, 0), (0, 1), (1700000000, 1)):
            self.write_ext4(mounted, count)
            self.assertFalse(self.is_unfinished())

    def test_ext4_of_another(self) -> None:
        unfinished.begin(str(self.device), self.uuid)
        self.write_ext4(0, 0, uuid.uuid4())
        self.assertFalse(self.is_unfinished())

    def test_ext4_that_is_finished(self) -> None:
        self.write_ext4(0, 0)
        self.assertFalse(self.is_unfinished())

    def test_xfs(self) -> None:
        for of, at_work, expected in (
                (self.uuid, 1, True), (self.uuid, 0, False),
                (uuid.uuid4(), 1, False)):
            self.write(0, b'XFSB')
            self.write(32, of.bytes)
            self.write(126, bytes([at_work]))
            self.assertEqual(expected, self.is_unfinished())

    def test_a_device_that_is_too_small(self) -> None:
        self.device.write_bytes(bytes(100))
        self.assertFalse(self.is_unfinished())
