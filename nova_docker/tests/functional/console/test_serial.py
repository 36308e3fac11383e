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

import contextlib
import socket
import threading
import time

from nova.compute import power_state
from nova.network import model
from oslo_utils import units

from nova import exception
from nova import objects
from nova_docker.console import line
from nova_docker.console import serial
from nova_docker.console import terminal
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import proxy

HOST = '127.0.0.1'
#: Below the kernel's own choice of ports.
PORTS = '21000:21100'
#: It says when it starts, and answers every line.
ANSWERS = 'echo ready; while read -r line; do echo "heard $line"; done'


class Person:
    """Somebody at a console, on a plain TCP connection."""

    def __init__(self, port: int) -> None:
        self._connection = socket.socket()
        # So that one who reads nothing soon holds nothing more either.
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                    64 * units.Ki)
        self._connection.connect((HOST, port))
        self._connection.setblocking(False)
        self.seen = b''
        self.is_cut_off = False

    def look(self) -> bytes:
        """Return all that was seen up to now."""
        with contextlib.suppress(BlockingIOError):
            while data := self._received():
                self.seen += data
            self.is_cut_off = True
        return self.seen

    def _received(self) -> bytes:
        try:
            return self._connection.recv(units.Mi)
        except ConnectionError:
            return b''

    def sees(self, text: bytes, times: int = 1) -> bytes:
        """Wait until a text was seen; return all that was seen."""
        tests.wait_until(lambda: self.look().count(text) >= times,
                         f'the viewer sees {text!r}')
        return self.seen

    def loses(self) -> None:
        """Wait until the console hung up."""
        def is_cut_off() -> bool:
            self.look()
            return self.is_cut_off
        tests.wait_until(is_cut_off, 'the console hangs up')

    def types(self, text: bytes) -> None:
        """Type, as fast as the console takes it."""
        self._connection.setblocking(True)
        self._connection.sendall(text)
        self._connection.setblocking(False)

    def leaves(self) -> None:
        self._connection.close()


class SerialTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.query = query.Query(self.engine)
        self.serial = self.make_serial(self.engine)

    def make_serial(self, engine: client.Engine) -> serial.Serial:
        made = serial.Serial(engine, HOST, PORTS)
        self.addCleanup(made.stop)
        return made

    def viewer(self, instance: objects.Instance,
               consoles: serial.Serial | None = None) -> Person:
        port = (consoles or self.serial).open(instance).port
        person = Person(port)
        self.addCleanup(person.leaves)
        return person

    def answering(self) -> objects.Instance:
        """Return an instance that answers what it hears."""
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     ANSWERS)
        self.wait_for_log(instance, 'ready')
        return instance

    def on(self, instance: objects.Instance) -> None:
        self.power.on(instance, model.NetworkInfo())

    def assert_stops(self, instance: objects.Instance) -> None:
        """It is stopped in no more time than without a viewer."""
        began = time.monotonic()
        self.power.off(instance, tests.PATIENCE)
        self.assertLess(time.monotonic() - began, tests.PATIENCE / 4)
        self.assertEqual(power_state.SHUTDOWN,
                         self.query.info(instance).state)


class TypingTestCase(SerialTestCase):
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
        people = [self.viewer(instance) for _ in range(3)]
        for number, person in enumerate(people):
            person.types(b'number %d\n' % number)
            for each in people:
                each.sees(b'heard number %d\r\n' % number)
        people[0].leaves()
        people[1].types(b'still\n')
        people[2].sees(b'heard still')

    def test_one_too_many(self) -> None:
        instance = self.answering()
        people = [self.viewer(instance) for _ in range(terminal.VIEWERS)]
        for person in people:
            person.sees(b'ready')
        self.viewer(instance).loses()
        people[-1].types(b'hello\n')
        people[0].sees(b'heard hello')

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


class ScreenTestCase(SerialTestCase):
    def test_the_last_screenful_comes_first(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'for i in 1 2 3; do yes line | head -n 100; echo part $i; done; '
            + ANSWERS)
        self.wait_for_log(instance, 'ready')
        first = self.viewer(instance)
        shown = first.sees(b'ready')
        self.assertIn(b'part 3', shown)
        self.assertNotIn(b'part 2', shown)
        first.types(b'one\n')
        first.sees(b'heard one')
        self.assertEqual(first.seen, self.viewer(instance).sees(b'heard one'))

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


class RunsTestCase(SerialTestCase):
    def test_reboots(self) -> None:
        instance = self.answering()
        people = [self.viewer(instance), self.viewer(instance)]
        for times, hard in enumerate((True, False, True), start=2):
            self.power.reboot(instance, model.NetworkInfo(), hard)
            for person in people:
                person.sees(b'ready', times)
            people[0].types(b'run %d\n' % times)
            people[1].sees(b'heard run %d\r\n' % times)
        self.assertEqual(4, people[0].seen.count(b'ready'))

    def test_stop_and_start(self) -> None:
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        self.assert_stops(instance)
        person.types(b'while it is off\n')
        other = Person(self.serial._opened(instance.uuid).port)
        self.addCleanup(other.leaves)
        other.sees(b'ready')
        self.on(instance)
        for each in (person, other):
            each.sees(b'ready', times=2)
        person.types(b'again\n')
        self.assertNotIn(b'off', other.sees(b'heard again'))

    def test_nothing_of_a_short_run_is_missed(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo >> /count; wc -l /count; test $(wc -l < /count) -lt 5')
        self.wait_for_end(instance)
        [port] = {self.serial._opened(instance.uuid).port for _ in range(2)}
        person = Person(port)
        self.addCleanup(person.leaves)
        person.sees(b'1 /count')
        for count in range(2, 6):
            self.on(instance)
            person.sees(b'%d /count' % count)
            self.wait_for_end(instance)

    def test_a_pause(self) -> None:
        instance = self.answering()
        early = self.viewer(instance)
        early.sees(b'ready')
        self.power.pause(instance)
        early.types(b'early\n')
        late = self.viewer(instance)
        late.sees(b'ready')
        self.power.unpause(instance)
        for each in (early, late):
            each.sees(b'heard early')

    def test_a_viewer_who_comes_first_in_a_pause(self) -> None:
        instance = self.answering()
        self.power.pause(instance)
        person = self.viewer(instance)
        person.sees(b'ready')
        self.power.unpause(instance)

        def is_heard() -> bool:
            person.types(b'hello\n')
            return b'heard hello' in person.look()
        tests.wait_until(is_heard, 'the workload hears the viewer')

    def test_another_container_of_the_name(self) -> None:
        """As a rebuild makes it, while the viewer stays."""
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        self.engine.remove(names.workload(instance.uuid))
        instance.metadata = {
            'docker:command': '["/bin/sh", "-c", "echo new; exec cat"]'}
        self.on_again(instance)
        person.sees(b'new')
        person.types(b'hello\n')
        person.sees(b'hello\r\nhello')

    def test_another_container_in_place_of_a_stopped_one(self) -> None:
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        self.power.off(instance, 0)
        self.engine.remove(names.workload(instance.uuid))
        self.on_again(instance)
        person.sees(b'ready', times=2)
        person.types(b'hello\n')
        person.sees(b'heard hello')

    def on_again(self, instance: objects.Instance) -> None:
        self.engine.start(self.create(instance, self.make_image()))


class SlowViewerTestCase(SerialTestCase):
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


class EndTestCase(SerialTestCase):
    def threads(self, instance: objects.Instance) -> list[threading.Thread]:
        return [each for each in threading.enumerate()
                if instance.uuid in each.name]

    def test_close_leaves_nothing(self) -> None:
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        port = self.serial.open(instance).port
        self.engine.remove(names.workload(instance.uuid))
        self.serial.close(instance)
        person.loses()
        self.assertEqual([], self.threads(instance))
        socket.create_server((HOST, port)).close()
        self.serial.close(instance)
        self.assertRaises(errors.EngineNotFound, self.serial.open, instance)
        self.assertEqual([], self.threads(instance))

    def test_stop_closes_all(self) -> None:
        instances = [self.answering(), self.answering()]
        people = [self.viewer(each) for each in instances]
        self.serial.stop()
        for person in people:
            person.loses()
        for instance in instances:
            self.assertEqual([], self.threads(instance))

    def test_one_that_does_not_run(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.assertRaises(exception.InstanceNotReady, self.serial.open,
                          instance)

    def test_one_that_is_not_there(self) -> None:
        instance = self.make_instance()
        self.assertRaises(errors.EngineNotFound, self.serial.open, instance)
        self.assertEqual([], self.threads(instance))

    def test_after_a_restart_of_nova_compute(self) -> None:
        instance = self.answering()
        self.viewer(instance).sees(b'ready')
        self.serial.stop()
        again = self.viewer(instance, self.make_serial(self.engine))
        again.sees(b'ready')
        again.types(b'hello\n')
        again.sees(b'heard hello')

    def test_the_console_stays_where_it_is(self) -> None:
        """Nova compares the port when a viewer comes with a token."""
        instance, other = self.answering(), self.answering()
        found = self.serial.open(instance)
        self.assertEqual(HOST, found.host)
        self.assertNotEqual(found.port, self.serial.open(other).port)
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertEqual(found.port, self.serial.open(instance).port)

    def test_ports_that_others_have(self) -> None:
        taken = socket.create_server((HOST, 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        full = serial.Serial(self.engine, HOST, f'{port}:{port + 1}')
        self.addCleanup(full.stop)
        self.assertRaises(exception.SocketPortRangeExhaustedException,
                          full.open, self.answering())

    def test_an_address_of_another_host(self) -> None:
        wrong = serial.Serial(self.engine, '192.0.2.1', PORTS)
        self.addCleanup(wrong.stop)
        self.assertRaises(exception.ConsoleTypeUnavailable, wrong.open,
                          self.answering())


class EngineAwayTestCase(SerialTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wire = self.useFixture(proxy.Proxy(self.url))
        self.consoles = self.make_serial(
            client.Engine(self.wire.url, timeout=1))

    def test_viewers_stay(self) -> None:
        instance = self.answering()
        person = self.viewer(instance, self.consoles)
        person.sees(b'ready')
        self.wire.cut()
        self.wire.mend()

        def is_heard() -> bool:
            person.types(b'hello\n')
            return b'heard hello' in person.look()
        tests.wait_until(is_heard, 'the workload hears the viewer again')

    def test_one_that_hangs_keeps_nobody(self) -> None:
        instance = self.answering()
        person = self.viewer(instance, self.consoles)
        person.sees(b'ready')
        self.wire.hang()
        person.types(b'hello\n')
        began = time.monotonic()
        self.consoles.close(instance)
        self.assertLess(time.monotonic() - began, tests.PATIENCE / 4)
        person.loses()
