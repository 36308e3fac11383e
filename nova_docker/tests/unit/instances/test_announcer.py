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

"""The announcer: who is told what, and how often."""

from __future__ import annotations

import collections
import threading

from nova.virt import event

from nova_docker.instances import announcer
from nova_docker.tests import base

#: Seconds that Nova takes for each.
TAKES = 0.05
STARTED = event.EVENT_LIFECYCLE_STARTED
STOPPED = event.EVENT_LIFECYCLE_STOPPED


class AnnouncerTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.told: list[tuple[str, int]] = []
        self.announcer = announcer.Announcer(
            self.emit, clock=lambda: self.now)

    def emit(self, told: event.LifecycleEvent) -> None:
        self.told.append((told.get_instance_uuid(), told.get_transition()))

    def due(self) -> list[tuple[str, int]]:
        """Return what is due now, in its order."""
        return [(each.uuid, each.transition)
                for each in iter(self.announcer.due, None)]

    def pass_time(self, seconds: float) -> dict[str, list[float]]:
        """Let Nova be told, which takes it a while each time.

        :returns: when each server was told of
        """
        told: dict[str, list[float]] = collections.defaultdict(list)
        end = self.now + seconds
        while self.now < end:
            found = self.announcer.due()
            if found is None:
                self.now += 0.01
            else:
                self.now += TAKES
                told[found.uuid].append(self.now)
        return told

    def test_told_again_and_again_but_not_for_ever(self) -> None:
        """Nova ignores what it is told while a task is under way."""
        for announce, delays in (
                (self.announcer.announce, announcer.REPEATS),
                (self.announcer.announce_found, announcer.FOUND)):
            announce('a', STOPPED)
            began = self.now
            self.assertEqual(0, delays[0])
            for delay in delays:
                self.now = began + delay
                self.assertEqual([('a', STOPPED)], self.due())
                self.assertEqual([], self.due())
            self.now += 1000
            self.assertEqual([], self.due())

    def test_a_live_event_waits_for_none_that_was_found(self) -> None:
        for number in range(500):
            self.announcer.announce_found(str(number), STARTED)
        self.pass_time(3)
        began = self.now
        self.announcer.announce('450', STOPPED)
        told = self.pass_time(300)
        self.assertLess(told['450'][0] - began, 1)
        self.assertEqual(len(announcer.REPEATS), len(told['450']))

    def test_a_live_event_waits_for_no_repeat_of_others(self) -> None:
        for number in range(500):
            self.announcer.announce(str(number), STOPPED)
        self.pass_time(30)
        began = self.now
        self.announcer.announce('a', STOPPED)
        self.assertLess(self.pass_time(300)['a'][0] - began, 1)

    def test_nobody_is_forgotten_among_many(self) -> None:
        """One telling serves all the times that have come meanwhile."""
        for number in range(300):
            self.announcer.announce(str(number), STOPPED)
            self.announcer.announce_found(f'found-{number}', STARTED)
        told = self.pass_time(200)
        self.assertEqual(600, len(told))
        for times in told.values():
            self.assertGreaterEqual(times[-1], 1000 + announcer.REPEATS[-1])
        self.assertEqual([], self.due())

    def test_what_happens_after_a_comparison_is_told_last(self) -> None:
        self.announcer.announce_found('a', STARTED)
        self.announcer.announce('b', STARTED)
        self.announcer.announce('a', STOPPED)
        self.assertEqual([('b', STARTED), ('a', STOPPED)], self.due())
        self.announcer.announce_found('b', STOPPED)
        self.assertEqual([('b', STOPPED)], self.due())

    def test_only_the_last_transition_is_told(self) -> None:
        self.announcer.announce('a', STARTED)
        self.announcer.announce('b', STARTED)
        self.announcer.announce('a', STOPPED)
        self.assertEqual([('b', STARTED), ('a', STOPPED)], self.due())
        self.now += announcer.REPEATS[-1]
        self.assertEqual({('b', STARTED), ('a', STOPPED)}, set(self.due()))

    def test_the_thread_tells_at_once(self) -> None:
        heard = threading.Event()

        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            heard.set()
        teller = announcer.Announcer(emit)
        thread = threading.Thread(target=teller.run)
        thread.start()
        teller.announce('a', STARTED)
        self.assertTrue(heard.wait(base.PATIENCE))
        teller.stop()
        thread.join(base.PATIENCE)
        self.assertFalse(thread.is_alive())
        self.assertEqual([('a', STARTED)], self.told)

    def test_what_nova_does_not_take_is_no_end(self) -> None:
        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            if len(self.told) == 1:
                raise LookupError('no such instance')
            teller.stop()
        teller = announcer.Announcer(emit)
        teller.announce('a', STARTED)
        teller.announce('b', STOPPED)
        teller.run()
        self.assertEqual([('a', STARTED), ('b', STOPPED)], self.told)

    def test_nothing_is_told_before_somebody_hears_it(self) -> None:
        """What waited is told in full then, as if it were new."""
        answers = iter([False, False, True])

        def heard() -> bool:
            self.assertEqual([], self.told)
            return next(answers)

        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            teller.stop()
        self.patch(announcer, 'LOOK', 0)
        teller = announcer.Announcer(emit, heard)
        teller.announce('a', STOPPED)
        teller.run()
        self.assertEqual([('a', STOPPED)], self.told)
        [left] = teller._news.values()
        self.assertEqual(len(announcer.REPEATS) - 1, len(left.times))

    def test_it_does_not_wait_for_ever(self) -> None:
        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            teller.stop()
        self.patch(announcer, 'LOOK', 0)
        self.patch(announcer, 'PATIENCE', 0)
        teller = announcer.Announcer(emit, lambda: False)
        teller.announce('a', STOPPED)
        teller.run()
        self.assertEqual([('a', STOPPED)], self.told)

    def test_it_ends_while_it_waits(self) -> None:
        teller = announcer.Announcer(self.emit, lambda: False)
        teller.announce('a', STOPPED)
        teller.stop()
        teller.run()
        self.assertEqual([], self.told)

    def test_it_ends_with_something_left_to_tell(self) -> None:
        self.announcer.announce('a', STARTED)
        self.announcer.stop()
        self.announcer.run()
        self.assertEqual([], self.told)
