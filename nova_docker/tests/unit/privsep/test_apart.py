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

"""Acts in processes of their own, on storage that answers or does not."""

from __future__ import annotations

import errno
import os
import pathlib

import fixtures

from nova_docker.privsep import apart
from nova_docker.tests import base


class ApartTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def test_a_file_is_read(self) -> None:
        file = self.directory / 'file'
        file.write_bytes(bytes(8192))
        apart.run('read', str(file), base.PATIENCE)

    def test_a_directory_is_asked_for(self) -> None:
        apart.run('read', str(self.directory), base.PATIENCE)

    def test_what_is_not_there(self) -> None:
        self._assert_error(errno.ENOENT, 'read', self.directory / 'nothing')

    def test_what_has_nothing(self) -> None:
        file = self.directory / 'file'
        file.touch()
        self._assert_error(errno.ENODATA, 'read', file)

    def test_what_is_mounted_nowhere(self) -> None:
        for act in ('unmount', 'forsake'):
            error = self.assertRaises(OSError, apart.run, act,
                                      str(self.directory), base.PATIENCE)
            self.assertIn(error.errno, (errno.EINVAL, errno.EPERM))

    def test_it_does_not_end(self) -> None:
        """As a pipe to which nobody writes, it may be asked again."""
        asked = []

        def goes_on() -> bool:
            asked.append(1)
            return len(asked) < 3

        self.assertRaises(TimeoutError, apart.run, 'read', self._pipe(), 0.1,
                          goes_on)
        self.assertEqual(3, len(asked))

    def test_it_ends_in_the_end(self) -> None:
        pipe = self._pipe()

        def goes_on() -> bool:
            # Whoever waits for a writer has seen one; who is not there yet, or
            # has ended, is not waited for.
            os.close(os.open(pipe, os.O_RDWR))
            return True

        # A pipe has no beginning that could be read.
        error = self.assertRaises(OSError, apart.run, 'read', pipe, 0.5,
                                  goes_on)
        self.assertEqual(errno.ESPIPE, error.errno)

    def _pipe(self) -> str:
        path = self.directory / 'pipe'
        os.mkfifo(path)
        return str(path)

    def _assert_error(self, number: int, act: str,
                      path: pathlib.Path) -> None:
        error = self.assertRaises(OSError, apart.run, act, str(path),
                                  base.PATIENCE)
        self.assertEqual(number, error.errno)
