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

"""People at serial consoles of real containers."""

from __future__ import annotations

import contextlib
import socket
import time

from nova.compute import power_state
from nova.network import model
from oslo_utils import units

from nova import objects
from nova_docker.console import serial
from nova_docker.engine import client
from nova_docker.instances import query
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

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
