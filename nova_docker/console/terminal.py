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

"""One instance's serial console: its listener, viewers, line and thread."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import select
import socket
import threading
import time

from oslo_log import log as logging

from nova_docker.console import line
from nova_docker.console import viewer
from nova_docker.console import waiting
from nova_docker.engine import client
from nova_docker import names

LOG = logging.getLogger(__name__)

#: Viewers at a time; each has a backlog.
VIEWERS = 32
#: Seconds that :func:`wait` waits in all, for an engine that hangs.
_PATIENCE = 5


class Terminal:
    """Serves whoever connects to a listener, from a thread of its own.

    The line to the workload is there while somebody views. Nobody waits for
    this thread, so it may wait for the engine.

    :param engine: where the workload runs
    :param uuid: the instance's
    :param listener: its address is the console's
    """

    def __init__(self, engine: client.Engine, uuid: str,
                 listener: socket.socket) -> None:
        self._engine = engine
        self._uuid = uuid
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self._line = self._new_line()
        self._viewers: list[viewer.Viewer] = []
        self._is_closing = False
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(
            target=self._serve, name=f'console-{uuid}', daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether viewers can connect."""
        return self._thread.is_alive() and not self._is_closing

    def close(self) -> None:
        """Begin to hang up on everybody; can be done again."""
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._waker.send(b'.')

    def wait(self, seconds: float) -> None:
        """Wait until nothing is left, or for so long."""
        self._thread.join(seconds)

    def _new_line(self) -> line.Line:
        return line.Line(self._engine, names.workload(self._uuid))

    def _serve(self) -> None:
        try:
            self._listener.setblocking(False)
            while not self._is_closing:
                self._handle(waiting.ready(
                    dict(self._interests()), self._timeout()))
                self._care()
        except Exception:
            LOG.exception('The serial console failed.',
                          instance_uuid=self._uuid)
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        for each in (self._listener, self._waker, self._woken):
            each.close()
        for one in self._viewers:
            one.close()
        self._line.close()

    def _interests(self) -> Iterator[tuple[int, int]]:
        yield self._woken.fileno(), select.POLLIN
        yield self._listener.fileno(), select.POLLIN
        for each in self._viewers:
            yield each.fileno(), _events(not self._line.is_full,
                                         each.is_behind)
        events = _events(self._has_room, self._line.is_behind)
        # Without any, poll would still tell of an end, again and again.
        if self._line.fileno is not None and events:
            yield self._line.fileno, events

    @property
    def _has_room(self) -> bool:
        """Whether every viewer can take more: the workload waits for all."""
        return all(each.deadline is None for each in self._viewers)

    def _timeout(self) -> float | None:
        """Return the seconds until something is due."""
        due = [each.deadline for each in self._viewers]
        if self._viewers:
            due.append(self._line.due)
        first = min((each for each in due if each is not None), default=None)
        return None if first is None else max(0, first - time.monotonic())

    def _handle(self, ready: dict[int, int]) -> None:
        # Before others can be accepted, which may get a number again.
        for each in self._viewers:
            if each.fileno() in ready:
                self._attend(each, ready[each.fileno()])
        if self._line.fileno in ready:
            self._line.flush()
            if self._has_room:
                self._show(self._line.read())
        if self._listener.fileno() in ready:
            self._admit()

    def _attend(self, one: viewer.Viewer, events: int) -> None:
        if events & select.POLLOUT:
            one.flush()
        if events & ~select.POLLOUT:
            self._line.type(one.typed())

    def _admit(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _address = self._listener.accept()
            if len(self._viewers) >= VIEWERS:
                connection.close()
                return
            new = viewer.Viewer(connection)
            new.show(self._line.screen())
            self._viewers.append(new)

    def _show(self, data: bytes) -> None:
        for each in self._viewers:
            each.show(data)

    def _care(self) -> None:
        """Let go of lost viewers, and hold the line for the others."""
        for each in [each for each in self._viewers if each.is_lost]:
            self._viewers.remove(each)
            each.close()
        if self._viewers:
            self._show(self._line.tend())
        elif self._line.fileno is not None:
            self._line.close()
            self._line = self._new_line()


def wait(terminals: Iterable[Terminal]) -> None:
    """Wait until nothing is left of any, unless the engine hangs."""
    ends = time.monotonic() + _PATIENCE
    for each in terminals:
        each.wait(max(0, ends - time.monotonic()))


def _events(read: bool, write: bool) -> int:
    return read * select.POLLIN | write * select.POLLOUT
