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

"""Shows on a terminal how far a transfer is."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import os
import sys
import time
from typing import Final
from typing import TextIO

_WIDTH: Final = 30
#: A bar with less is none.
_NARROW: Final = 10
#: Columns of a terminal that does not tell.
_COLUMNS: Final = 80
#: Seconds between two pictures.
_PAUSE: Final = 0.1
_MIB: Final = 1024 ** 2


class Bar:
    """One line that is drawn over and over; nothing but on a terminal.

    :param label: what is transferred
    :param total: bytes expected; more may come, or less
    """

    def __init__(self, label: str, total: int,
                 stream: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._begun = time.monotonic()
        self._drawn = float('-inf')
        self._done = 0

    def over(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces, and show that they passed."""
        try:
            for piece in pieces:
                yield piece
                self._done += len(piece)
                self._draw()
            self._total = self._done
        finally:
            self._drawn = float('-inf')
            self._draw()
            self._write('\n')

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn < _PAUSE:
            return
        self._drawn = now
        share = min(self._done / self._total, 1) if self._total else 1
        rate = self._done / _MIB / max(now - self._begun, _PAUSE)
        self._write('\r' + self._line(
            share, f'{share:4.0%} {self._done / _MIB:.1f} MiB '
            f'{rate:.1f} MiB/s'))

    def _line(self, share: float, figures: str) -> str:
        """Return a line as wide as the terminal, and no wider.

        What is wrapped can't be drawn over, nor what a longer line has left.
        """
        room = self._columns() - 1
        rest = room - len(f' {figures}')
        width = min(_WIDTH, rest - len(f'{self._label} []'))
        filled = int(share * width)
        bar = (f' [{"#" * filled}{"." * (width - filled)}]'
               if width >= _NARROW else '')
        label = self._label
        if len(label + bar) > rest:
            label = f'{label[:max(rest - 3, 0)]}...'
        return f'{label}{bar} {figures}'[:room].ljust(room)

    def _columns(self) -> int:
        with contextlib.suppress(OSError):
            return os.get_terminal_size(
                self._stream.fileno()).columns or _COLUMNS
        return _COLUMNS

    def _write(self, text: str) -> None:
        # The terminal may be closed by now, and what goes on must not end.
        with contextlib.suppress(OSError):
            if self._stream.isatty():
                self._stream.write(text)
                self._stream.flush()
