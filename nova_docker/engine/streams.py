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
import json
import os
import socket
import struct
from typing import Any

import requests
import urllib3

from nova_docker.engine import failures
from nova_docker import errors

#: Before each frame of a log: its stream, three zeros, its length.
_FRAME = struct.Struct('>4xL')
#: Bytes read at once from a connection.
_PIECE = 65536


def payload(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is in a stream that has stdout and stderr in frames.

    The SDK's own reader waits for ever when the engine falls silent.
    """
    rest, skip = b'', 0
    for piece in frames:
        rest += piece
        while rest:
            if skip:
                yield rest[:skip]
                rest, skip = rest[skip:], max(0, skip - len(rest))
            elif len(rest) >= _FRAME.size:
                skip = _FRAME.unpack_from(rest)[0]
                rest = rest[_FRAME.size:]
            else:
                break


def exchange(connection: Any, entered: bytes) -> bytes:
    """Send a command its input, and return all that it writes.

    :param connection: the SDK's, to a command without a terminal
    """
    with contextlib.closing(connection):
        try:
            connection._sock.sendall(entered)
            connection._sock.shutdown(socket.SHUT_WR)
            return b''.join(payload(iter(
                lambda: connection._sock.recv(_PIECE), b'')))
        except OSError as error:
            raise errors.EngineUnavailable(str(error)) from error


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
