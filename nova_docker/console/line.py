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

"""The line to a workload: attached whenever there is something to see."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import re
import time

from oslo_utils import units

from nova_docker.console import output
from nova_docker.engine import client
from nova_docker.engine import streams
from nova_docker import errors

#: What a new viewer sees first: lines of the log, and bytes at most.
LINES = 50
SCREEN = 16 * units.Ki
#: Bytes typed that may wait for the workload before viewers have to wait.
TYPED = 64 * units.Ki
#: Seconds between two looks at a workload that does not run.
PAUSE = 1.0
#: Seconds between two attachments at least.
_LEAST = 0.2
#: A terminal answers these as if somebody typed: not to be shown again.
_QUESTIONS = re.compile(rb'\x1b\[[?>=0-9;]*[cn]')


class Line:
    """Carries bytes to and from the workload of one name.

    One that does not run is attached to as well, so nothing of its next run
    is missed; the attachment ends with the run. Another container may take
    the name at any time.

    :param engine: where it runs
    :param name: the container's
    :param clock: seconds, monotonic
    """

    def __init__(self, engine: client.Engine, name: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._name = name
        self._clock = clock
        self._attachment: streams.Attachment | None = None
        self._has_terminal = True
        self._is_running = False
        #: Container and start of the run that was seen last, and when the
        #: last attachment ended, in seconds since the epoch.
        self._run: tuple[str, str] = '', ''
        self._left = 0.0
        self._due = self._attached = clock()
        self._screen = bytearray()
        self._typed = bytearray()

    @property
    def fileno(self) -> int | None:
        """The file descriptor to poll; None while there is none."""
        return (None if self._attachment is None
                else self._attachment.fileno())

    @property
    def due(self) -> float | None:
        """When to call :meth:`tend` again; None: there is no need to."""
        is_well = self._attachment is not None and self._is_running
        return None if is_well else self._due

    @property
    def is_behind(self) -> bool:
        """Whether something typed waits for the workload."""
        return bool(self._typed)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more should be typed."""
        return len(self._typed) >= TYPED

    def screen(self) -> bytes:
        """Return the last screenful of what was seen."""
        return again(bytes(self._screen))

    def tend(self) -> bytes:
        """Attach, or see whether the workload runs, when that is due.

        :returns: what there is to show
        """
        if self.due is None or self._clock() < self.due:
            return b''
        self._due = self._clock() + PAUSE
        # An engine or a workload that is away may come back.
        with contextlib.suppress(errors.EngineError):
            if self._attachment is None:
                return self._attach()
            self._look()
        return b''

    def _attach(self) -> bytes:
        run, since = self._run, self._left
        try:
            self._attachment = self._engine.attach(self._name)
        except errors.EngineConflict:
            # A paused one can be attached to when it goes on.
            self._look()
        else:
            self._attached = self._clock()
            self._note(self._attachment.container)
        if self._run == run:
            return self.read()
        return self._missed(since if self._run[0] == run[0] else 0)

    def _missed(self, since: float) -> bytes:
        """Return what a workload wrote before it was attached to."""
        log = output.tail(self._engine, self._name, LINES, SCREEN, since)
        # What has come by the attachment may be in the log as well.
        written = self._received()
        return again(self._seen(without(log, written))) + self._seen(written)

    def _look(self) -> None:
        container = self._engine.container(self._name)
        attached = self._attachment and self._attachment.container['Id']
        if attached and attached != container['Id']:
            self._detach()
        else:
            self._note(container)

    def _note(self, container: client.Document) -> None:
        self._run = container['Id'], container['State']['StartedAt']
        self._is_running = container['State']['Running']
        self._has_terminal = container['Config']['Tty']

    def _detach(self) -> None:
        self.close()
        self._left = time.time()
        self._due = max(self._clock(), self._attached + _LEAST)

    def _seen(self, data: bytes) -> bytes:
        """Return output as a terminal takes it, and remember it."""
        if not self._has_terminal:
            data = data.replace(b'\n', b'\r\n')
        self._screen += data
        del self._screen[:-SCREEN]
        return data

    def read(self) -> bytes:
        """Return what the workload has written since."""
        return self._seen(self._received())

    def _received(self) -> bytes:
        if self._attachment is None:
            return b''
        data = self._attachment.read()
        if data is None:
            self._detach()
        return data or b''

    def type(self, data: bytes) -> None:
        """Give the workload what was typed.

        It is lost while the workload does not run, as on any serial line:
        the next run must not begin with it.
        """
        if self._attachment is not None and not self._is_running:
            with contextlib.suppress(errors.EngineError):
                self._look()
        if self._attachment is not None and self._is_running:
            self._typed += data
            self.flush()

    def flush(self) -> None:
        """Write what was typed as far as the engine takes it."""
        if self._attachment is not None and self._typed:
            del self._typed[:self._attachment.write(self._typed)]

    def close(self) -> None:
        """Leave the workload alone; can be done again."""
        if self._attachment is not None:
            self._attachment.close()
        self._attachment = None
        self._is_running = False
        self._typed.clear()


def without(log: bytes, written: bytes) -> bytes:
    """Return the begin of a log, without what was written at its end.

    :param written: its end, or more than it has, or less
    """
    for start in range(len(log)):
        end = log[start:]
        if written.startswith(end) or (written and end.startswith(written)):
            return log[:start]
    return log


def again(seen: bytes) -> bytes:
    """Return what can be shown once more, from the begin of a line."""
    if len(seen) >= SCREEN:
        _cut, _end, rest = seen.partition(b'\n')
        seen = rest or seen
    return _QUESTIONS.sub(b'', seen)
