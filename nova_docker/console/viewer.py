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

"""A viewer of a serial console: one connection, which never blocks us."""

from __future__ import annotations

from collections.abc import Callable
import socket
import time

from oslo_utils import units

#: Bytes that may wait for a viewer before the workload has to wait too.
BACKLOG = 256 * units.Ki
#: Seconds that others wait for a viewer who takes nothing.
PATIENCE = 5.0
#: Bytes read at a time.
_CHUNK = 4 * units.Ki


class Viewer:
    """Somebody who sees what a workload writes, and types.

    :param connection: theirs
    :param clock: seconds, monotonic
    """

    def __init__(self, connection: socket.socket,
                 clock: Callable[[], float] = time.monotonic) -> None:
        connection.setblocking(False)
        # What is typed and answered is seen at once.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel's own backlog would be larger than ours.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BACKLOG)
        # Or one whose host went away would stay for ever.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection = connection
        self._clock = clock
        self._backlog = bytearray()
        #: When others stop to wait for this one; None while they don't.
        self.deadline: float | None = None
        self.is_gone = False

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._connection.fileno()

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._backlog)

    @property
    def is_lost(self) -> bool:
        """Whether it went away, or takes nothing for too long."""
        return self.is_gone or (self.deadline is not None
                                and self._clock() >= self.deadline)

    def show(self, data: bytes) -> None:
        """Send output now, or as soon as the viewer takes it."""
        self._backlog += data
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the viewer takes it."""
        try:
            while self._backlog:
                del self._backlog[:self._connection.send(self._backlog)]
        except BlockingIOError:
            pass
        except OSError:
            self.is_gone = True
        if len(self._backlog) < BACKLOG:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = self._clock() + PATIENCE

    def typed(self) -> bytes:
        """Return what was typed since."""
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return b''
        except OSError:
            data = b''
        self.is_gone = self.is_gone or not data
        return data

    def close(self) -> None:
        """Hang up; can be done again."""
        self._connection.close()
