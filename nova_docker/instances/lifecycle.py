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

"""Follows the engine's events, so that Nova knows at once what happened.

One thread reads the stream, one tells Nova. After every interruption the
reader compares what is with what it last knew before it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
import time
from typing import Protocol

from nova.compute import power_state
from oslo_log import log as logging
import tenacity

from nova.virt import event
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker.engine import streams
from nova_docker import errors
from nova_docker.instances import announcer
from nova_docker.instances import query
from nova_docker import names

LOG = logging.getLogger(__name__)

#: The engine's events, and the state and Nova's event that each leads to.
_TRANSITIONS = {
    'start': (power_state.RUNNING, event.EVENT_LIFECYCLE_STARTED),
    'die': (power_state.SHUTDOWN, event.EVENT_LIFECYCLE_STOPPED),
    'pause': (power_state.PAUSED, event.EVENT_LIFECYCLE_PAUSED),
    'unpause': (power_state.RUNNING, event.EVENT_LIFECYCLE_RESUMED),
    # After the 'die' of the same container.
    'checkpoint': (power_state.SUSPENDED, event.EVENT_LIFECYCLE_SUSPENDED),
}
_TRANSITION_TO = {
    power_state.RUNNING: event.EVENT_LIFECYCLE_STARTED,
    power_state.SHUTDOWN: event.EVENT_LIFECYCLE_STOPPED,
    power_state.CRASHED: event.EVENT_LIFECYCLE_STOPPED,
    power_state.PAUSED: event.EVENT_LIFECYCLE_PAUSED,
    power_state.SUSPENDED: event.EVENT_LIFECYCLE_SUSPENDED,
}
#: Seconds between attempts to reach an engine that went away.
RETRY = 2
#: Seconds after which it is told once more that it is away.
REMINDER = 60
#: Seconds after which even a busy stream is begun anew: what was undecided at
#: the comparison is looked at again.
ANEW = 300

_FILTERS = {
    'type': ['container'],
    'event': [*_TRANSITIONS, 'oom'],
    'label': [f'{names.ROLE}={names.Role.WORKLOAD}'],
}


class Listener(Protocol):
    """Who is told when the engine comes and goes."""

    def lost(self, reason: str) -> None:
        """The engine does not answer; it may be told again."""

    def found(self) -> None:
        """The engine answers again."""


class Lifecycle:
    """Watches an engine.

    :param engine: whose events are followed
    :param instances: compares after an interruption
    :param emit: gives an event to Nova
    :param listeners: told, in turn, when the engine comes and goes
    :param heard: whether Nova can answer to an event yet
    :param started: told of each workload that starts, with its labels
    """

    def __init__(self, engine: client.Engine, instances: query.Query,
                 emit: Callable[[event.LifecycleEvent], None],
                 *listeners: Listener,
                 heard: Callable[[], bool] = lambda: True,
                 started: Callable[[client.Document], None] = lambda _: None
                 ) -> None:
        self._engine = engine
        self._instances = instances
        self._announcer = announcer.Announcer(emit, heard)
        self._listeners = listeners
        self._started = started
        self._known: dict[str, int] = {}
        self._stream: streams.EventStream | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; once.

        What ended while nobody was listening is told as well, unless Nova
        itself starts again what ran.
        """
        if CONF.resume_guests_state_on_host_boot:
            self._known = self._instances.workloads()
        for name, target in (('docker-events', self._follow),
                             ('docker-announcer', self._announcer.run)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End both threads; can be run again."""
        self._stopping.set()
        self._announcer.stop()
        if self._stream is not None:
            self._stream.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _follow(self) -> None:
        since = time.time()
        while not self._stopping.is_set():
            try:
                self._listen(since)
            except errors.EngineError as error:
                self._interrupted(error)
            except Exception:
                LOG.exception("Following the engine's events failed.")
                self._stopping.wait(RETRY)
            since = time.time()

    def _listen(self, since: float) -> None:
        """Handle events until the engine is silent, or for a while."""
        limit = time.monotonic() + ANEW
        with contextlib.closing(
                self._engine.events(since, _FILTERS)) as self._stream:
            # Whoever stops us from now on closes the stream.
            if self._stopping.is_set():
                return
            self._compare()
            for listener in self._listeners:
                listener.found()
            for record in self._stream:
                self._handle(record)
                if time.monotonic() > limit:
                    return

    def _interrupted(self, error: errors.EngineError) -> None:
        if self._stopping.is_set():
            return
        LOG.error("Following the engine's events was interrupted: %s", error)
        # An engine that ends tells of what it ends, but not Nova, which asks
        # it: what ended then is told once more when it is back.
        self._known = {uuid: state for uuid, state in self._known.items()
                       if state == power_state.RUNNING}
        self._tell_lost(error)
        self._await_engine(error)

    def _tell_lost(self, error: errors.EngineError) -> None:
        for listener in self._listeners:
            listener.lost(str(error))

    def _await_engine(self, error: errors.EngineError) -> None:
        told = time.monotonic()

        def tell_again(_state: tenacity.RetryCallState) -> None:
            nonlocal told
            # Whoever was told may not have been able to act on it.
            if time.monotonic() - told >= REMINDER:
                self._tell_lost(error)
                told = time.monotonic()

        patiently = tenacity.Retrying(
            wait=tenacity.wait_fixed(RETRY), before_sleep=tell_again,
            sleep=tenacity.sleep_using_event(self._stopping),
            stop=tenacity.stop_when_event_set(self._stopping),
            retry=tenacity.retry_if_exception_type(errors.EngineError))
        # It is only given up when we stop.
        with contextlib.suppress(tenacity.RetryError):
            patiently(self._answers)

    def _answers(self) -> None:
        self._engine.renegotiate()
        self._engine.info()

    def _handle(self, record: client.Document) -> None:
        uuid = names.uuid_of(record['Actor'])
        if uuid is None or not names.is_workload(
                record['Actor']['Attributes']['name']):
            return
        if record['Action'] == 'oom':
            LOG.warning('The kernel killed a process of the container for '
                        "want of memory: the flavor's limit is reached.",
                        instance_uuid=uuid)
            return
        if record['Action'] == 'die':
            LOG.info('The container ended with exit code %s.',
                     record['Actor']['Attributes'].get('exitCode'),
                     instance_uuid=uuid)
        if record['Action'] == 'start':
            self._started(record['Actor']['Attributes'])
        self._known[uuid], transition = _TRANSITIONS[record['Action']]
        self._announcer.announce(uuid, transition)

    def _compare(self) -> None:
        """Announce every state that changed while nobody was listening."""
        present = self._instances.workloads()
        for uuid, transition in _changes(self._known, present):
            self._announcer.announce_found(uuid, transition)
        self._known = present


def _changes(before: dict[str, int],
             now: dict[str, int]) -> Iterator[tuple[str, int]]:
    for uuid, state in now.items():
        if before.get(uuid) != state and state in _TRANSITION_TO:
            yield uuid, _TRANSITION_TO[state]
