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

"""Signals that end a command, and when they do."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import signal
import sys
from types import FrameType
from types import TracebackType
from typing import Any
from typing import Final
from typing import Self

#: Ctrl-C, kill(1), and a terminal that is closed.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAITING: Final = """\
Interrupted: the engine has everything, and what it makes of it is removed.
Interrupt again not to wait for that, and to leave it there.
"""


class Interruption:
    """Raises KeyboardInterrupt for each signal that would end the process.

    What is ignored, as nohup(1) has it, stays so.
    """

    def __init__(self) -> None:
        self._former: dict[signal.Signals, Any] = {}
        self._is_held = False
        self._came = False

    def __enter__(self) -> Self:
        for each in _SIGNALS:
            if signal.getsignal(each) != signal.SIG_IGN:
                self._former[each] = signal.signal(each, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for each, former in self._former.items():
            signal.signal(each, former)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_held and not self._came:
            self._came = True
            with contextlib.suppress(OSError):
                sys.stderr.write(_WAITING)
        else:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def once_sent(self, pieces: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
        """Hold the first signal back that comes when all pieces are sent.

        Who has got them goes on with them, though nobody waits for that. The
        signal counts at the end.

        :param pieces: what is sent
        """
        def sent() -> Iterator[bytes]:
            yield from pieces
            self._is_held = True

        try:
            yield sent()
        finally:
            self._is_held = False
        if self._came:
            raise KeyboardInterrupt
