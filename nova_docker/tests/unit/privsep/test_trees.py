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

"""Tests of nova_docker.privsep.trees that need no container."""

from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
import stat
import tarfile
import tracemalloc
from typing import Any

import fixtures

from nova_docker import privsep
from nova_docker.privsep import trees
from nova_docker.tests import base

_LIMIT = 8 ** 11


def _tar(member: tarfile.TarInfo) -> int:
    """Return what Python's own archives need for one file."""
    packed = member.tobuf(tarfile.PAX_FORMAT)
    return len(packed) + -(-member.size // 512) * 512


def _in_whole_seconds(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make the engine's archive of Python's."""
    member.mtime = int(member.mtime)
    return member


class MemberTest(base.TestCase):
    """One file, beside what another program makes of it."""

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def assert_room(self, member: tarfile.TarInfo, found: os.stat_result,
                    again: bool = False, most: int = 1024) -> None:
        """Fail unless there is enough room, and not much more."""
        more = trees.member(member.name, found, again) - _tar(member)
        self.assertGreaterEqual(more, 0)
        self.assertLessEqual(more, most)

    def file(self, size: int = 0) -> os.stat_result:
        path = self.path / 'file'
        path.touch()
        # A sparse one: in an archive the holes are zeros.
        os.truncate(path, size)
        return path.lstat()

    @staticmethod
    def member(name: str, size: int = 0, **fields: Any) -> tarfile.TarInfo:
        member = tarfile.TarInfo(name)
        member.size = size
        for field, value in fields.items():
            setattr(member, field, value)
        return member

    def test_sizes(self) -> None:
        for size in (0, 1, 511, 512, 513, 2 ** 20, _LIMIT - 1, _LIMIT):
            with self.subTest(size=size):
                self.assert_room(self.member('a', size), self.file(size))

    def test_a_plain_file_takes_its_header_and_its_blocks(self) -> None:
        self.assertEqual(512, trees.member('a', self.file(), False))
        self.assertEqual(1536, trees.member('a', self.file(513), False))

    def test_names(self) -> None:
        for name in ('n' * 100, 'n' * 101, 'n' * 255, 'ü', 'd' * 156 + '/n',
                     'd' * 155 + '/' + 'n' * 101, 'd/' * 2000 + 'n'):
            with self.subTest(name=name):
                self.assert_room(self.member(name), self.file())

    def test_a_name_that_can_be_split_takes_no_more(self) -> None:
        self.assertEqual(512, trees.member(
            'd' * 155 + '/' + 'n' * 100, self.file(), False))

    def test_a_name_that_is_no_text(self) -> None:
        name = os.fsdecode(b'\xff' * 20)
        self.assertGreater(trees.member(name, self.file(), False), 1024)

    def test_hard_links_have_no_data(self) -> None:
        for target in ('t', 't' * 250):
            with self.subTest(target=target):
                self.assert_room(
                    self.member('n' * 250, type=tarfile.LNKTYPE,
                                linkname=target),
                    self.file(2 ** 20), again=True, most=1536)

    def test_symbolic_links(self) -> None:
        for target in ('t', 't' * 100, 't' * 101, 't' * 4000):
            with self.subTest(target=target):
                path = self.path / f'link{len(target)}'
                path.symlink_to(target)
                self.assert_room(self.member(
                    'l', type=tarfile.SYMTYPE, linkname=target), path.lstat())

    def test_directories_have_no_data(self) -> None:
        self.assertEqual(512, trees.member('d/', self.path.lstat(), False))

    def test_numbers_that_fit_into_no_header(self) -> None:
        for owner, time in ((2 ** 21, 0), (0, -1)):
            found = os.stat_result(
                (stat.S_IFREG, 1, 1, 1, owner, 0, 0, time, time, time))
            with self.subTest(owner=owner, time=time):
                self.assert_room(self.member(
                    'file', uid=owner, mtime=time), found)


class WalkTest(base.TestCase):
    """The whole of a directory."""

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def size(self) -> int | None:
        """Measure the directory; show that it leaves nothing open."""
        try:
            return trees._size(os.open(self.path, os.O_RDONLY))
        finally:
            self.assertEqual([], list(self.held()))

    def held(self) -> Iterator[str]:
        """Yield what is open of the directory."""
        for number in os.listdir('/proc/self/fd'):
            with contextlib.suppress(FileNotFoundError):
                path = os.readlink(f'/proc/self/fd/{number}')
                if pathlib.Path(path).is_relative_to(self.path):
                    yield path

    def archived(self) -> int:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode='w',
                          format=tarfile.PAX_FORMAT) as tar:
            for each in self.path.iterdir():
                tar.add(each, each.name, filter=_in_whole_seconds)
            return tar.offset + 1024

    def test_nothing(self) -> None:
        self.assertEqual(1024, self.size())

    def test_a_tree(self) -> None:
        below = self.path / 'a' / 'b'
        below.mkdir(parents=True)
        (below / 'file').write_bytes(bytes(1000))
        (below / 'other').hardlink_to(below / 'file')
        (self.path / 'link').symlink_to('/')
        os.mkfifo(self.path / 'pipe')
        size = self.size()
        assert size is not None
        # A further name counts as if it were a long one.
        self.assertEqual(self.archived() + 1024, size)

    def test_too_many_files(self) -> None:
        self.useFixture(fixtures.MockPatchObject(trees, 'MAX_FILES', 2))
        for name in ('a', 'b'):
            (self.path / name).touch()
        self.assertEqual(2048, self.size())
        (self.path / 'c').touch()
        self.assertIsNone(self.size())

    def test_too_many_directories_are_not_remembered(self) -> None:
        """A tenant makes as many as the disk has room for, or inodes."""
        self.useFixture(fixtures.MockPatchObject(trees, 'MAX_FILES', 2))
        for number in range(4000):
            (self.path / f'{number:0250}').mkdir()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertIsNone(self.size())
        _now, most = tracemalloc.get_traced_memory()
        # Their names would take twice as much.
        self.assertLess(most, 500_000)

    def test_too_deep(self) -> None:
        self.path.joinpath(*['d'] * 64).mkdir(parents=True)
        self.assertEqual(1024 + 64 * 512, self.size())
        self.path.joinpath(*['d'] * 65).mkdir()
        self.assertRaises(OSError, self.size)

    def test_only_containers(self) -> None:
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', False))
        for pid in (os.getpid(), 1, 0, -1, '7'):
            with self.subTest(pid=pid):
                self.assertRaises(ValueError, trees.archived, pid)
