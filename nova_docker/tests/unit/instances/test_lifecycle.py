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

import threading

from nova.virt import event

from nova_docker.instances import lifecycle
from nova_docker.tests import base

STARTED = event.EVENT_LIFECYCLE_STARTED
STOPPED = event.EVENT_LIFECYCLE_STOPPED


class AnnouncerTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.told: list[tuple[str, int]] = []
        self.announcer = lifecycle.Announcer(
            self.emit, clock=lambda: self.now)

    def emit(self, told: event.LifecycleEvent) -> None:
        self.told.append((told.get_instance_uuid(), told.get_transition()))

    def due(self) -> list[tuple[str, int]]:
        """Return what is due now, in its order."""
        found = []
        while (self.announcer._due and
               self.announcer._due[0][0] <= self.now):
            told = self.announcer._next()
            assert told is not None
            found.append(told)
        return found

    def test_told_again_and_again_but_not_for_ever(self) -> None:
        """Nova ignores what it is told while a task is under way."""
        self.announcer.announce('a', STOPPED)
        for _delay in lifecycle.REPEATS:
            self.assertEqual([('a', STOPPED)], self.due())
            self.assertEqual([], self.due())
            self.now = (self.announcer._due[0][0] if self.announcer._due
                        else self.now + 1000)
        self.assertEqual([], self.due())
        self.assertEqual(0, lifecycle.REPEATS[0])

    def test_only_the_last_transition_is_told(self) -> None:
        self.announcer.announce('a', STARTED)
        self.announcer.announce('b', STARTED)
        self.announcer.announce('a', STOPPED)
        self.assertEqual([('b', STARTED), ('a', STOPPED)], self.due())
        self.now += max(lifecycle.REPEATS)
        self.assertEqual({('b', STARTED), ('a', STOPPED)}, set(self.due()))

    def test_the_thread_tells_at_once(self) -> None:
        heard = threading.Event()

        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            heard.set()
        announcer = lifecycle.Announcer(emit)
        thread = threading.Thread(target=announcer.run)
        thread.start()
        announcer.announce('a', STARTED)
        self.assertTrue(heard.wait(base.PATIENCE))
        announcer.stop()
        thread.join(base.PATIENCE)
        self.assertFalse(thread.is_alive())
        self.assertEqual([('a', STARTED)], self.told)

    def test_what_nova_does_not_take_is_no_end(self) -> None:
        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            if len(self.told) == 1:
                raise LookupError('no such instance')
            announcer.stop()
        announcer = lifecycle.Announcer(emit)
        announcer.announce('a', STARTED)
        announcer.announce('b', STOPPED)
        announcer.run()
        self.assertEqual([('a', STARTED), ('b', STOPPED)], self.told)

    def test_nothing_is_told_before_somebody_hears_it(self) -> None:
        """What waited is told in full then, as if it were new."""
        answers = iter([False, False, True])

        def heard() -> bool:
            self.assertEqual([], self.told)
            return next(answers)

        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            announcer.stop()
        self.patch(lifecycle, 'LOOK', 0)
        announcer = lifecycle.Announcer(emit, heard)
        announcer.announce('a', STOPPED)
        announcer.run()
        self.assertEqual([('a', STOPPED)], self.told)
        self.assertEqual(len(lifecycle.REPEATS) - 1, len(announcer._due))

    def test_it_does_not_wait_for_ever(self) -> None:
        def emit(told: event.LifecycleEvent) -> None:
            self.emit(told)
            announcer.stop()
        self.patch(lifecycle, 'LOOK', 0)
        self.patch(lifecycle, 'PATIENCE', 0)
        announcer = lifecycle.Announcer(emit, lambda: False)
        announcer.announce('a', STOPPED)
        announcer.run()
        self.assertEqual([('a', STOPPED)], self.told)

    def test_it_ends_while_it_waits(self) -> None:
        announcer = lifecycle.Announcer(self.emit, lambda: False)
        announcer.announce('a', STOPPED)
        announcer.stop()
        announcer.run()
        self.assertEqual([], self.told)

    def test_it_ends_with_something_left_to_tell(self) -> None:
        self.announcer.announce('a', STARTED)
        self.announcer.stop()
        self.announcer.run()
        self.assertEqual([], self.told)
