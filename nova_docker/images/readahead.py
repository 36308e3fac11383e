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

"""Reads ahead, so that who makes a stream and who takes it work at once."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import queue
import threading
from typing import Final

#: Bytes that are handed on in one piece, and pieces that wait at most.
_PIECE: Final = 1024 * 1024
_WAITING: Final = 8


def ahead(pieces: Generator[bytes, None, None]
          ) -> Generator[bytes, None, None]:
    """Yield a stream that a thread of its own reads.

    Small pieces are joined. An error comes where it happened. At the end, or
    when it is closed before, the thread has ended and closed the stream.
    """
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING)
    abandoned = threading.Event()

    def read() -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(pieces):
                for piece in _joined(pieces):
                    waiting.put(piece)
                    if abandoned.is_set():
                        break
        except BaseException as error:
            end = error
        waiting.put(end)

    thread = threading.Thread(target=read, name='read ahead', daemon=True)
    thread.start()
    try:
        while (piece := waiting.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        abandoned.set()
        # A reader that waits for room finds out that nobody wants it.
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        thread.join()


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    joined = bytearray()
    for piece in pieces:
        joined += piece
        if len(joined) >= _PIECE:
            yield bytes(joined)
            joined.clear()
    if joined:
        yield bytes(joined)
