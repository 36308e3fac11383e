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

"""Tells Nova what became of servers: first what has just happened."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import itertools
import threading
import time

from oslo_log import log as logging

from nova.virt import event

LOG = logging.getLogger(__name__)

#: Nova ignores an event while a task of its own is under way for the
#: instance, which is so when a container ends while it is still booted or
#: rebooted. So each is told again, after these delays in seconds; Nova
#: compares with the present state every time, so a repeat does no harm. Less
#: than 5 s lie between two: so soon after Nova's task a server must show it.
REPEATS = (0.0, 1.0, 3.0, 6.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0)
#: The same for what was found to be so. That may be every server of the host,
#: of which Nova knows most already, and it compares them all by itself every
#: ten minutes ([DEFAULT] sync_power_state_interval).
FOUND = (0.0, 10.0, 30.0)
#: Seconds between two looks at whether Nova hears us, and after which it is
#: told all the same: not every service group keeps count in the database.
LOOK, PATIENCE = 1, 60


@dataclasses.dataclass
class News:
    """The last transition of one server.

    :param delays: after which it is told, in seconds
    :param order: grows from one to the next
    """

    uuid: str
    transition: int
    delays: Sequence[float]
    order: int
    is_live: bool
    is_told: bool = False
    times: Sequence[float] = ()

    def begin(self, now: float) -> None:
        """Let the delays begin now."""
        self.times = [now + delay for delay in self.delays]

    def told(self, now: float) -> None:
        """Drop every time that has come: one telling serves them all."""
        self.is_told = True
        self.times = [each for each in self.times if each > now]

    @property
    def urgency(self) -> tuple[bool, bool, float, int]:
        """Sorts what is due: what nobody has heard of first."""
        return (not self.is_live, self.is_told, self.times[0], self.order)


class Announcer:
    """Tells Nova of transitions, each several times, from its own thread.

    To tell of one takes Nova some 50 ms, so with hundreds of servers what
    has just happened may not wait until all else was told.

    :param emit: takes a nova.virt.event.LifecycleEvent
    :param heard: whether this nova-compute takes orders already. Nova
        answers to a container that has ended with the order to stop it; one
        that is lost leaves the server stopping for ever.
    :param clock: seconds, monotonic
    """

    def __init__(self, emit: Callable[[event.LifecycleEvent], None],
                 heard: Callable[[], bool] = lambda: True,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._heard = heard
        self._clock = clock
        #: By server: only the last of its transitions is told.
        self._news: dict[str, News] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False

    def announce(self, uuid: str, transition: int) -> None:
        """Tell of a transition now and again; forget the one before."""
        self._add(News(uuid, transition, REPEATS, next(self._order), True))

    def announce_found(self, uuid: str, transition: int) -> None:
        """Do :meth:`announce` for one that may be old, or known.

        It yields to every other.
        """
        self._add(News(uuid, transition, FOUND, next(self._order), False))

    def _add(self, news: News) -> None:
        news.begin(self._clock())
        with self._changed:
            self._news[news.uuid] = news
            self._changed.notify()

    def stop(self) -> None:
        """End :meth:`run`."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def run(self) -> None:
        """Tell what is due, until stopped."""
        self._await_nova()
        for uuid, transition in iter(self._next, None):
            try:
                self._emit(event.LifecycleEvent(uuid, transition))
            except Exception:
                LOG.exception('Nova did not take the event.',
                              instance_uuid=uuid)

    def _await_nova(self) -> None:
        """Wait until somebody hears what we tell; it is told from then on."""
        limit = self._clock() + PATIENCE
        while not self._heard() and self._clock() < limit:
            with self._changed:
                if self._stopped:
                    return
                self._changed.wait(LOOK)
        with self._changed:
            for each in self._news.values():
                each.begin(self._clock())

    def _next(self) -> tuple[str, int] | None:
        with self._changed:
            while not self._stopped:
                found = self.due()
                if found is not None:
                    return found.uuid, found.transition
                self._changed.wait(self._wait())
        return None

    def due(self) -> News | None:
        """Take the most urgent of what is due now; None if nothing is."""
        now = self._clock()
        due = [each for each in self._news.values() if each.times[0] <= now]
        if not due:
            return None
        found = min(due, key=lambda each: each.urgency)
        found.told(now)
        if not found.times:
            del self._news[found.uuid]
        return found

    def _wait(self) -> float | None:
        """Return the seconds until something is due."""
        first = min((each.times[0] for each in self._news.values()),
                    default=None)
        return None if first is None else first - self._clock()
