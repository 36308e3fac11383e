# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Events of a real engine, and an engine that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
import logging
import threading
import time

import fixtures
from nova.virt import event

from nova import objects
from nova_docker.engine import client
from nova_docker.instances import announcer
from nova_docker.instances import lifecycle
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import proxy

STARTED = event.EVENT_LIFECYCLE_STARTED
STOPPED = event.EVENT_LIFECYCLE_STOPPED
PAUSED = event.EVENT_LIFECYCLE_PAUSED
RESUMED = event.EVENT_LIFECYCLE_RESUMED
#: Seconds of silence that are too many. A slow engine still answers sooner.
SHORT = 5


class Hearer:
    """Hears what Nova would."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.engine: list[str] = []

    def emit(self, told: event.LifecycleEvent) -> None:
        self.told.append((told.get_instance_uuid(), told.get_transition()))

    def lost(self, reason: str) -> None:
        self.engine.append('lost')

    def found(self) -> None:
        self.engine.append('found')

    def has_heard(self, instance: objects.Instance,
                  transition: int) -> Callable[[], bool]:
        return lambda: (instance.uuid, transition) in self.told


class LifecycleTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wire = self.useFixture(proxy.Proxy(self.url))
        self.hearer = Hearer()

    def follow(self, timeout: int = tests.PATIENCE) -> lifecycle.Lifecycle:
        engine = client.Engine(self.wire.url, timeout=timeout)
        follower = lifecycle.Lifecycle(
            engine, query.Query(engine), self.hearer.emit, self.hearer)
        self.addCleanup(follower.stop)
        follower.start()
        self.await_engine('found')
        return follower

    def await_engine(self, *last: str) -> None:
        tests.wait_until(
            lambda: tuple(self.hearer.engine[-len(last):]) == last,
            f'the listener hears {last}')

    def await_event(self, instance: objects.Instance,
                    transition: int) -> None:
        tests.wait_until(self.hearer.has_heard(instance, transition),
                         f'Nova hears of transition {transition}')

    def test_a_life(self) -> None:
        self.follow()
        instance = self.run_workload(self.make_image())
        name = names.workload(instance.uuid)
        self.await_event(instance, STARTED)
        self.engine.pause(name)
        self.await_event(instance, PAUSED)
        self.engine.unpause(name)
        self.await_event(instance, RESUMED)
        self.engine.stop(name, 0)
        self.await_event(instance, STOPPED)

    def test_one_ends_by_itself(self) -> None:
        self.follow()
        instance = self.run_workload(self.make_image(), 'true')
        self.await_event(instance, STOPPED)

    def hear_of(self, script: str, words: str) -> None:
        """Run a script in little memory until the log tells of it."""
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        self.follow()
        self.run_workload(self.make_image(), '/bin/sh', '-c', script,
                          flavor=tests.make_flavor(memory_mb=32))
        tests.wait_until(lambda: words in log.output, f'the log has {words!r}')

    def test_the_exit_code_is_in_the_log(self) -> None:
        self.hear_of('exit 3', 'exit code 3')

    def test_want_of_memory_is_in_the_log(self) -> None:
        """The engine may miss it where the whole container ends of it."""
        self.hear_of('tail /dev/zero; exec sleep 1000', 'want of memory')

    def test_what_is_not_ours_is_not_told(self) -> None:
        self.follow()
        mine = self.make_instance()
        self.boxes.ensure(mine, [], [])
        self.engine.stop(names.sandbox(mine.uuid), 0)
        instance = self.run_workload(self.make_image(), 'true')
        self.await_event(instance, STOPPED)
        self.assertEqual({instance.uuid},
                         {uuid for uuid, _what in self.hearer.told})

    def test_the_engine_goes_and_comes_back(self) -> None:
        self.follow()
        self.assertEqual(['found'], self.hearer.engine)
        self.wire.cut()
        self.await_engine('found', 'lost')
        self.wire.mend()
        self.await_engine('lost', 'found')
        instance = self.run_workload(self.make_image(), 'true')
        self.await_event(instance, STOPPED)

    def test_that_it_is_away_is_told_again(self) -> None:
        """Nova may have been away as well."""
        self.useFixture(fixtures.MockPatchObject(lifecycle, 'RETRY', 0.01))
        self.useFixture(fixtures.MockPatchObject(lifecycle, 'REMINDER', 0))
        self.follow()
        self.wire.cut()
        self.await_engine('lost', 'lost', 'lost')
        self.wire.mend()
        self.await_engine('lost', 'found')

    def test_what_was_missed_is_told_later(self) -> None:
        self.follow()
        instance = self.run_workload(self.make_image())
        self.await_event(instance, STARTED)
        self.wire.cut()
        self.await_engine('lost')
        self.hearer.told.clear()
        self.engine.stop(names.workload(instance.uuid), 0)
        self.wire.mend()
        self.await_event(instance, STOPPED)

    def test_what_ended_with_the_engine_is_told_again(self) -> None:
        """Nova asks an engine that has told of it, and does not answer."""
        self.useFixture(fixtures.MockPatchObject(
            announcer, 'REPEATS', (0.0,)))
        self.follow()
        instance = self.run_workload(self.make_image())
        self.await_event(instance, STARTED)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.await_event(instance, STOPPED)
        self.wire.cut()
        self.await_engine('lost')
        self.hearer.told.clear()
        self.wire.mend()
        self.await_event(instance, STOPPED)

    def test_what_was_missed_after_a_change_back_and_forth(self) -> None:
        """It was stopped at the last comparison, and is stopped again."""
        instance = self.make_instance()
        name = self.create(instance, self.make_image())
        self.follow()
        self.engine.start(name)
        self.await_event(instance, STARTED)
        self.wire.cut()
        self.await_engine('lost')
        self.engine.stop(name, 0)
        self.wire.mend()
        self.await_event(instance, STOPPED)

    def test_what_ended_before_the_start_is_told(self) -> None:
        instance = self.run_workload(self.make_image(), 'true')
        self.wait_for_end(instance)
        self.follow()
        self.await_event(instance, STOPPED)

    def test_nova_starts_again_what_ran_before_the_start(self) -> None:
        """So it is not told that it ended: it would be stopped instead."""
        self.flags(resume_guests_state_on_host_boot=True)
        instance = self.run_workload(self.make_image(), 'true')
        self.wait_for_end(instance)
        self.follow()
        self.await_engine('found')
        later = self.run_workload(self.make_image(), 'true')
        self.await_event(later, STOPPED)
        self.assertNotIn(instance.uuid, [uuid for uuid, _transition
                                         in self.hearer.told])

    def test_what_did_not_change_is_not_told(self) -> None:
        self.flags(resume_guests_state_on_host_boot=True)
        instance = self.run_workload(self.make_image())
        self.follow()
        self.wire.cut()
        self.await_engine('lost')
        self.wire.mend()
        self.await_engine('found')
        self.assertEqual([], self.hearer.told)
        self.engine.stop(names.workload(instance.uuid), 0)
        self.await_event(instance, STOPPED)

    def test_a_quiet_engine_is_not_lost(self) -> None:
        self.follow(timeout=SHORT)
        tests.wait_until(lambda: len(self.hearer.engine) > 1,
                         'the stream was opened again')
        self.assertNotIn('lost', self.hearer.engine)
        instance = self.run_workload(self.make_image(), 'true')
        self.await_event(instance, STOPPED)

    def test_an_engine_that_hangs_is_lost(self) -> None:
        self.follow(timeout=SHORT)
        self.wire.hang()
        self.await_engine('lost')
        self.wire.mend()
        self.await_engine('found')

    def test_it_ends_at_once(self) -> None:
        follower = self.follow()
        began = time.monotonic()
        follower.stop()
        follower.stop()
        self.assertFalse([thread.name for thread in threading.enumerate()
                          if thread.name.startswith('docker-')])
        self.assertLess(time.monotonic() - began, tests.PATIENCE / 2)
        self.assertNotIn('lost', self.hearer.engine)

    def test_it_ends_while_the_engine_is_away(self) -> None:
        follower = self.follow()
        self.wire.cut()
        self.await_engine('lost')
        follower.stop()
        self.assertFalse([thread.name for thread in threading.enumerate()
                          if thread.name.startswith('docker-')])
