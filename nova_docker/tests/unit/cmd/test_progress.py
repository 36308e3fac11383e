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

"""The progress bar."""

from __future__ import annotations

from collections.abc import Iterator
import io
import os
import termios

import ddt

from nova_docker.cmd import progress
from nova_docker.tests import base


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@ddt.ddt
class BarTestCase(base.TestCase):
    def drawn(self, total: int, pieces: Iterator[bytes]) -> list[str]:
        """Return the pictures that a transfer made."""
        terminal = _Terminal()
        bar = progress.Bar('push web', total, terminal)
        self.assertLess(0, sum(map(len, bar.over(pieces))))
        self.assertTrue(terminal.getvalue().endswith('\n'))
        return terminal.getvalue().rstrip('\n').split('\r')[1:]

    def test_from_the_first_piece_to_the_end(self) -> None:
        pictures = self.drawn(4 * 2 ** 20, iter([bytes(2 ** 20)] * 4))
        self.assertIn('push web [#######.', pictures[0])
        self.assertIn(' 25% 1.0 MiB ', pictures[0])
        self.assertIn('#] 100% 4.0 MiB ', pictures[-1])

    def test_it_does_not_matter_if_the_size_was_a_guess(self) -> None:
        for total in (0, 1, 10 ** 9):
            self.assertIn('] 100% ', self.drawn(total, iter([b'x'] * 9))[-1])

    def test_a_failure_leaves_the_line_as_it_is(self) -> None:
        terminal = _Terminal()

        def failing() -> Iterator[bytes]:
            yield bytes(2 ** 20)
            raise ValueError
        over = progress.Bar('pull', 2 ** 21, terminal).over(failing())
        self.assertRaises(ValueError, list, over)
        self.assertIn(' 50% ', terminal.getvalue())
        self.assertTrue(terminal.getvalue().endswith('\n'))

    @ddt.data(12, 40, 80, 200)
    def test_no_line_is_wrapped(self, columns: int) -> None:
        """What is wrapped can't be drawn over."""
        screen, terminal = os.openpty()
        termios.tcsetwinsize(terminal, (24, columns))
        with open(terminal, 'w') as stream:
            list(progress.Bar('push registry.example.org/team/web:1.2', 9,
                              stream).over([bytes(9)]))
            drawn = os.read(screen, 4096).decode().replace('\r\n', '')
        os.close(screen)
        for line in drawn.split('\r')[1:]:
            self.assertEqual(columns - 1, len(line))
            if columns > 12:
                self.assertRegex(line, r'^push .* 100% ')

    def test_the_terminal_is_closed(self) -> None:
        screen, terminal = os.openpty()
        with open(terminal, 'w') as stream:
            os.close(screen)
            self.assertEqual([b'x'], list(progress.Bar(
                'push', 1, stream).over([b'x'])))

    def test_nothing_in_a_file(self) -> None:
        stream = io.StringIO()
        list(progress.Bar('pull', 2, stream).over([b'x', b'y']))
        self.assertEqual('', stream.getvalue())
