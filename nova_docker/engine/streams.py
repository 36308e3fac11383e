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

"""Streams that the engine answers with: logs and events."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import io
import json
import os
import socket
import struct
import time
from typing import Any
from typing import Final

import requests
import urllib3

from nova_docker.engine import failures
from nova_docker import errors

#: Bytes read of an attachment at a time.
CHUNK = 64 * 1024
#: Before each frame of a log: its stream, three zeros, its length.
_FRAME = struct.Struct('>4xL')
#: Bytes read at once from a connection.
_PIECE = 65536
#: Bytes that a command may write.
_LIMIT: Final = 64 * 1024


class Frames:
    """Takes the headers out of a stream with stdout and stderr in frames.

    The SDK's own reader waits for ever when the engine falls silent.
    """

    def __init__(self) -> None:
        self._header = b''
        self._left = 0

    def feed(self, piece: bytes) -> bytes:
        """Return what is in the frames of the stream's next piece."""
        found = bytearray()
        while piece:
            if self._left:
                found += piece[:self._left]
                piece, self._left = (piece[self._left:],
                                     max(0, self._left - len(piece)))
            else:
                piece = self._begin(piece)
        return bytes(found)

    def _begin(self, piece: bytes) -> bytes:
        missing = _FRAME.size - len(self._header)
        self._header += piece[:missing]
        if len(self._header) == _FRAME.size:
            self._left = _FRAME.unpack(self._header)[0]
            self._header = b''
        return piece[missing:]


def payload(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is in a stream that has stdout and stderr in frames."""
    reader = Frames()
    yield from filter(None, map(reader.feed, frames))


class Attachment:
    """A container's standard streams, as a socket that one can poll.

    It ends with the container's run. Nothing of it blocks.

    :param answer: the engine's, which switched protocols
    :param container: inspected since: what it has written in a run that this
        does not tell of will be read. Without a terminal there are frames, of
        stdout and stderr.
    """

    def __init__(self, answer: requests.Response,
                 container: dict[str, Any]) -> None:
        self.container = container
        self._frames = None if container['Config']['Tty'] else Frames()
        with contextlib.closing(answer):
            # Its HTTP library tells nothing of what is below it.
            raw: Any = answer.raw
            connection = raw.connection.sock
            connection.setblocking(False)
            # Of our own, since the answer's goes with the answer.
            self._connection = socket.socket(fileno=os.dup(
                connection.fileno()))
            self._connection.setblocking(False)
            # What came in one piece with the answer's header.
            self._ahead: bytes = raw._fp.fp.peek()

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._connection.fileno()

    def read(self) -> bytes | None:
        """Return what has been written since; None at the end.

        To be called once before the first poll, which does not see what
        came with the engine's answer.
        """
        piece, self._ahead = self._ahead, b''
        try:
            piece = piece or self._connection.recv(CHUNK)
        except BlockingIOError:
            return b''
        except OSError:
            return None
        if not piece:
            return None
        return self._frames.feed(piece) if self._frames else piece

    def write(self, data: bytes | bytearray) -> int:
        """Write to stdin; return how many bytes the engine took.

        An attachment that has ended takes them all.
        """
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def close(self) -> None:
        """Let the container run on alone; can be done again."""
        self._connection.close()


def exchange(answer: requests.Response, entered: bytes,
             seconds: float) -> bytes:
    """Send a command its input, and return all that it writes.

    The command may be anybody's, so it can't make this last, or grow. The
    engine has no way to end one; without a reader it goes on alone.

    :param answer: the engine's, which switched protocols to those of a command
        without a terminal
    :param seconds: that it may take in all
    :raises EngineError: it takes longer, or writes too much
    """
    ends = time.monotonic() + seconds
    with contextlib.closing(answer):
        # Its HTTP library tells nothing of what is below it.
        raw: Any = answer.raw
        connection = raw.connection.sock
        try:
            connection.settimeout(seconds)
            connection.sendall(entered)
            connection.shutdown(socket.SHUT_WR)
            # Not from the socket: this has what came with the answer.
            return _gathered(_in_time(connection, raw._fp.fp, ends))
        except TimeoutError as error:
            raise errors.EngineError(
                f'a command has not ended after {seconds} s') from error
        except OSError as error:
            raise errors.EngineUnavailable(str(error)) from error


def _in_time(connection: socket.socket, reader: io.BufferedReader,
             ends: float) -> Iterator[bytes]:
    """Yield what is read of a connection until its end.

    :raises TimeoutError: that is not reached in time
    """
    while (left := ends - time.monotonic()) > 0:
        connection.settimeout(left)
        piece = reader.read1(_PIECE)
        if not piece:
            return
        yield piece
    raise TimeoutError


def _gathered(frames: Iterable[bytes]) -> bytes:
    written = bytearray()
    for piece in payload(frames):
        written += piece
        if len(written) > _LIMIT:
            raise errors.EngineError(
                f'a command wrote more than {_LIMIT} bytes')
    return bytes(written)


class EventStream:
    """The engine's events, one document each, until it is closed.

    The iteration also ends when the engine has been silent for its timeout,
    since nothing else tells a quiet engine from one that hangs.
    """

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer
        # Of our own, since the answer's goes while another thread reads it.
        self._connection = socket.socket(
            fileno=os.dup(answer.raw.fileno()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with failures.classified():
            try:
                for line in self._answer.iter_lines():
                    yield json.loads(line)
            except requests.exceptions.ConnectionError as error:
                if isinstance(error.args[0],
                              urllib3.exceptions.ReadTimeoutError):
                    return
                raise
        raise errors.EngineUnavailable('it closed the event stream')

    def close(self) -> None:
        """End the iteration, from any thread; can be done again."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
