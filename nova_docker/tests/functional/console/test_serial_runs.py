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

"""Serial consoles when servers, the engine and the service come and go."""

from __future__ import annotations

import socket
import threading
import time

import fixtures
from nova.network import model

from nova import exception
from nova import objects
from nova_docker.console import serial
from nova_docker.console import terminal
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional.console import people
from nova_docker.tests.functional import proxy


class RunsTestCase(people.SerialTestCase):
    def test_reboots(self) -> None:
        instance = self.answering()
        viewers = [self.viewer(instance), self.viewer(instance)]
        for times, hard in enumerate((True, False, True), start=2):
            self.power.reboot(instance, model.NetworkInfo(), hard)
            for person in viewers:
                person.sees(b'ready', times)
            viewers[0].types(b'run %d\n' % times)
            viewers[1].sees(b'heard run %d\r\n' % times)
        self.assertEqual(4, viewers[0].seen.count(b'ready'))

    def test_stop_and_start(self) -> None:
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        self.assert_stops(instance)
        person.types(b'while it is off\n')
        other = people.Person(self.serial._opened(instance.uuid).port)
        self.addCleanup(other.leaves)
        other.sees(b'ready')
        self.on(instance)
        for each in (person, other):
            each.sees(b'ready', times=2)
        person.types(b'again\n')
        self.assertNotIn(b'off', other.sees(b'heard again'))

    def test_a_run_that_begins_while_it_is_attached_to(self) -> None:
        """The engine attaches once it has started what it is starting."""
        instance = self.answering()
        person = self.viewer(instance)
        person.sees(b'ready')
        sdk = self.engine._calls
        inspect, name = sdk.inspect_container, names.workload(instance.uuid)
        runs = iter([None])

        def start(container: str) -> client.Document:
            found: client.Document = inspect(container)
            if (threading.current_thread().name.startswith('console-')
                    and not found['State']['Running']):
                for _first in runs:
                    self.engine.start(name)
                    tests.wait_until(
                        lambda: self.log(instance).count('ready') == 2,
                        'its next run has begun')
            return found
        self.useFixture(fixtures.MockPatchObject(
            sdk, 'inspect_container', autospec=True, side_effect=start))
        self.engine.stop(name, tests.PATIENCE)
        person.sees(b'ready', times=2)
        person.types(b'again\n')
        self.assertEqual(2, person.sees(b'heard again').count(b'ready'))

    def test_nothing_of_a_short_run_is_missed(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo >> /count; wc -l /count; test $(wc -l < /count) -lt 5')
        self.wait_for_end(instance)
        [port] = {self.serial._opened(instance.uuid).port for _ in range(2)}
        person = people.Person(port)
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


class EndTestCase(people.SerialTestCase):
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
        socket.create_server((people.HOST, port)).close()
        self.serial.close(instance)
        self.assertRaises(errors.EngineNotFound, self.serial.open, instance)
        self.assertEqual([], self.threads(instance))

    def test_stop_closes_all(self) -> None:
        instances = [self.answering(), self.answering()]
        viewers = [self.viewer(each) for each in instances]
        self.serial.stop()
        for person in viewers:
            person.loses()
        for instance in instances:
            self.assertEqual([], self.threads(instance))

    def test_stop_waits_but_once_for_an_engine_that_hangs(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        consoles = serial.Serial(
            client.Engine(wire.url, timeout=tests.PATIENCE), people.HOST,
            people.PORTS)
        instances = [self.answering() for _number in range(4)]
        ports = [consoles.open(each).port for each in instances]
        wire.hang()
        for port in ports:
            self.addCleanup(people.Person(port).leaves)
        tests.wait_until(
            lambda: all(each._viewers
                        for each in consoles._terminals.values()),
            'each attaches to its workload')
        self.useFixture(fixtures.MockPatchObject(terminal, '_PATIENCE', 2))
        began = time.monotonic()
        consoles.stop()
        self.assertLess(time.monotonic() - began, 4)

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
        self.assertEqual(people.HOST, found.host)
        self.assertNotEqual(found.port, self.serial.open(other).port)
        self.power.reboot(instance, model.NetworkInfo(), hard=True)
        self.assertEqual(found.port, self.serial.open(instance).port)

    def test_ports_that_others_have(self) -> None:
        taken = socket.create_server((people.HOST, 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        full = serial.Serial(self.engine, people.HOST, f'{port}:{port + 1}')
        self.addCleanup(full.stop)
        self.assertRaises(exception.SocketPortRangeExhaustedException,
                          full.open, self.answering())

    def test_an_address_of_another_host(self) -> None:
        wrong = serial.Serial(self.engine, '192.0.2.1', people.PORTS)
        self.addCleanup(wrong.stop)
        self.assertRaises(exception.ConsoleTypeUnavailable, wrong.open,
                          self.answering())


class EngineAwayTestCase(people.SerialTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wire = self.useFixture(proxy.Proxy(self.url))
        self.consoles = self.make_serial(
            client.Engine(self.wire.url, timeout=5))

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
