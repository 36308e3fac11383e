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

"""What the mount table says of a mount."""

from __future__ import annotations

import os
import pathlib

import fixtures

from nova_docker.privsep import mounttable
from nova_docker.tests import base


class MountTestCase(base.TestCase):
    def test_a_device_that_is_mounted_by_a_link(self) -> None:
        """As mount(8) does with all that device mapper has made."""
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (directory / 'link').symlink_to('dm-0')
        mount = mounttable.Mount('/point', False, 'ext4',
                                 str(directory / 'link'), ('rw',))
        self.assertEqual(str(directory / 'dm-0'), mount.device)

    def test_names_that_look_like_the_end_of_a_line(self) -> None:
        """The kernel writes no other characters than these as numbers."""
        names = ('/a\rb', '/a\x0bb', '/a\x0cb', '/a\x85b', '/a\u2028b',
                 '/a\udcffb')
        table = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'table')
        table.write_bytes(b''.join(
            b'%d 1 8:1 / %s rw - ext4 /dev/sda rw\n' % (
                number, os.fsencode(name))
            for number, name in enumerate(names)))
        self.useFixture(fixtures.MockPatchObject(mounttable, '_TABLE', table))
        self.assertEqual(list(names), [
            mount.point for mount in mounttable.mounts()])

    def test_nothing_is_mounted(self) -> None:
        """For a process whose root is a directory below all mounts."""
        table = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'table')
        table.touch()
        self.assertEqual([], list(mounttable.mounts(table)))
