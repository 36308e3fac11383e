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

"""Serial consoles of real containers, with real viewers."""

from __future__ import annotations

from oslo_utils import units

from nova import objects
from nova_docker.console import line
from nova_docker.console import terminal
from nova_docker.tests import base as tests
from nova_docker.tests.functional.console import people


class TypingTestCase(people.SerialTestCase):
    def test_a_shell(self) -> None:
        instance = self.run_workload(self.make_image())
        person = self.viewer(instance)
        person.types(b'echo $((6 * 7)); tty; stty -a\n')
        shown = person.sees(b'isig')
        self.assertIn(b'42\r\n', shown)
        self.assertIn(b'/dev/pts/0', shown)

    def test_no_key_detaches_or_is_held_back(self) -> None:
        """By default the engine would wait for what follows Control-P."""
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     'stty raw -echo; echo ready; cat')
        person = self.viewer(instance)
        person.sees(b'ready')
        person.types(b'\x10')
        person.sees(b'\x10')
        every = bytes(range(255)) + b'\x10\x11'
        person.types(every)
        person.sees(every)

    def test_control_characters_act(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'trap "echo interrupted" INT; echo ready; '
            'while true; do sleep 0.1; done')
        person = self.viewer(instance)
        person.sees(b'ready')
        person.types(b'\x03')
        person.sees(b'interrupted')

    def test_much_typed_at_once(self) -> None:
        """A workload that takes its time gets every byte."""
        size = 3000000
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'stty raw -echo; echo ready; sleep 1; '
            f'head -c {size} | wc -c; exec sleep 1000')
        person = self.viewer(instance)
        person.sees(b'ready')
        person.types(b'x' * size)
        person.sees(str(size).encode())

    def test_several_viewers(self) -> None:
        instance = self.answering()
        viewers = [self.viewer(instance) for _ in range(3)]
        for number, person in enumerate(viewers):
            person.types(b'number %d\n' % number)
            for each in viewers:
                each.sees(b'heard number %d\r\n' % number)
        viewers[0].leaves()
        viewers[1].types(b'still\n')
        viewers[2].sees(b'heard still')

    def test_one_too_many(self) -> None:
        instance = self.answering()
        viewers = [self.viewer(instance) for _ in range(terminal.VIEWERS)]
        for person in viewers:
            person.sees(b'ready')
        self.viewer(instance).loses()
        viewers[-1].types(b'hello\n')
        viewers[0].sees(b'heard hello')

    def test_without_a_terminal(self) -> None:
        """Output of both streams, without a trace of their frames."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo first; while true; do echo out; echo err >&2; sleep 0.1; '
            'done', metadata={'docker:tty': 'false'})
        self.wait_for_log(instance, 'first')
        person = self.viewer(instance)
        person.types(b'nobody hears\n')
        person.sees(b'out\r\n', times=5)
        shown = person.sees(b'err\r\n', times=5)
        self.assertEqual({b'first', b'out', b'err'},
                         set(shown.rpartition(b'\r\n')[0].split(b'\r\n')))


class ScreenTestCase(people.SerialTestCase):
    def test_the_last_screenful_comes_first(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'for i in 1 2 3; do yes line | head -n 100; echo part $i; done; '
            + people.ANSWERS)
        self.wait_for_log(instance, 'ready')
        first = self.viewer(instance)
        shown = first.sees(b'ready')
        self.assertIn(b'part 3', shown)
        self.assertNotIn(b'part 2', shown)
        first.types(b'one\n')
        first.sees(b'heard one\r\n')
        self.assertEqual(first.seen,
                         self.viewer(instance).sees(b'heard one\r\n'))

    def test_what_was_seen_while_nobody_looked(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo ready; read -r line; sleep 0.5; echo meanwhile; cat')
        person = self.viewer(instance)
        person.sees(b'ready')
        person.types(b'go\n')
        person.sees(b'go')
        person.leaves()
        self.wait_for_log(instance, 'meanwhile')
        self.viewer(instance).sees(b'meanwhile')

    def test_a_giant_line_is_cut(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'yes 0123456789 | head -n 100000 | tr -d "\\n"; echo end; cat')
        self.wait_for_log(instance, 'end')
        shown = self.viewer(instance).sees(b'end\r\n')
        self.assertLessEqual(len(shown), line.SCREEN)

    def test_a_question_is_not_asked_again(self) -> None:
        """A terminal's answer would be typed into the shell."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            "printf 'where\\033[6n am I\\n'; cat")
        self.wait_for_log(instance, 'am I')
        self.viewer(instance).sees(b'where am I')


class SlowViewerTestCase(people.SerialTestCase):
    def flooding(self) -> objects.Instance:
        """Return an instance that writes as fast as it can."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c', 'trap "exit 3" TERM; '
            'while true; do echo 0123456789012345678901234567890123456789; '
            'done')
        self.wait_for_log(instance, '0123')
        return instance

    def test_is_dropped(self) -> None:
        """Others and the workload go on."""
        instance = self.flooding()
        asleep, awake = self.viewer(instance), self.viewer(instance)
        amount = 0

        def has_seen_more_than_all_buffers_hold() -> bool:
            nonlocal amount
            amount += len(awake.look())
            awake.seen = b''
            return amount > 4 * units.Mi
        tests.wait_until(has_seen_more_than_all_buffers_hold,
                         'the other goes on')
        self.assertFalse(awake.is_cut_off)
        asleep.loses()
        self.assertLess(len(asleep.seen), 2 * units.Mi)

    def test_does_not_keep_it_from_stopping(self) -> None:
        instance = self.flooding()
        self.viewer(instance)
        self.viewer(instance)
        self.assert_stops(instance)
        self.assertEqual(3, self.state(instance)['ExitCode'])

    def test_gets_everything_if_it_reads_at_all(self) -> None:
        count = 250000
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            f'read -r line; yes 0123456789 | head -n {count}; echo end; cat')
        person = self.viewer(instance)
        person.types(b'go\n')
        person.sees(b'go')
        # The sockets are full by now and the workload waits.
        shown = person.sees(b'end\r\n')
        self.assertEqual(count, shown.count(b'0123456789\r\n'))
