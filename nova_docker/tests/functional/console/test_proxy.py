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

"""A serial console through the code of nova-serialproxy."""

from __future__ import annotations

import threading
from typing import Any

import fixtures
from nova.compute import rpcapi
from nova.console import websocketproxy
from oslo_utils import timeutils
from websockify import websocketproxy as websockify

from nova import exception
from nova import objects
from nova_docker.console import serial
from nova_docker.tests import base as tests
from nova_docker.tests import browser
from nova_docker.tests.functional import base

HOST = '127.0.0.1'
TOKEN = 'secret'


class Gateway(websockify.LibProxyServer):
    """nova-serialproxy's request handler, in threads instead of forks."""

    security_proxy = None
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave it at hanging up: the test sees that."""


class SerialProxyTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serial = serial.Serial(self.engine, HOST, '21100:21200')
        self.addCleanup(self.serial.stop)
        self.instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            'echo ready; while read -r line; do echo "heard $line"; done')
        self.wait_for_log(self.instance, 'ready')
        self.port = self.serial.open(self.instance).port
        self.url = self.start_gateway()

    def start_gateway(self) -> str:
        """Start the proxy, with Nova's database and messages stood in for."""
        for target, method, stand_in in (
                (objects.ConsoleAuthToken, 'validate', self.validate),
                (objects.Instance, 'get_by_uuid', self.get_instance)):
            self.useFixture(fixtures.MockPatchObject(
                target, method, autospec=True, side_effect=stand_in))
        messages = self.useFixture(fixtures.MockPatchObject(
            rpcapi, 'ComputeAPI', autospec=True)).mock
        messages.return_value.validate_console_port.side_effect = self.is_port
        gateway = Gateway(
            RequestHandlerClass=websocketproxy.NovaProxyRequestHandler,
            listen_host=HOST, listen_port=0)
        self.addCleanup(gateway.server_close)
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(gateway.shutdown)
        return f'ws://{HOST}:{gateway.server_address[1]}/?token={TOKEN}'

    def validate(self, context: Any, token: str) -> objects.ConsoleAuthToken:
        if token != TOKEN:
            raise exception.InvalidToken(token='***')
        return objects.ConsoleAuthToken(
            context=context, host=HOST, port=self.port, token=token,
            console_type='serial', instance_uuid=self.instance.uuid,
            access_url_base='ws://127.0.0.1/', internal_access_path=None,
            expires=timeutils.utcnow_ts() + 600)

    def get_instance(self, context: Any, uuid: str) -> objects.Instance:
        return self.instance

    def is_port(self, context: Any, instance: objects.Instance, port: str,
                console_type: str) -> bool:
        return str(self.serial.open(instance).port) == port

    def connect(self) -> browser.Browser:
        opened = browser.Browser(self.url)
        self.addCleanup(opened.leaves)
        return opened

    def assert_sees(self, who: browser.Browser, text: bytes) -> None:
        tests.wait_until(lambda: text in who.look(),
                         f'the browser shows {text!r}')

    def test_two_browsers(self) -> None:
        one, other = self.connect(), self.connect()
        for who in (one, other):
            self.assert_sees(who, b'ready\r\n')
        one.types(b'hello\n')
        for who in (one, other):
            self.assert_sees(who, b'heard hello\r\n')
        one.leaves()
        other.types(b'again\n')
        self.assert_sees(other, b'heard again\r\n')

    def test_the_end_of_the_console(self) -> None:
        who = self.connect()
        self.assert_sees(who, b'ready\r\n')
        self.serial.close(self.instance)

        def is_cut_off() -> bool:
            who.look()
            return who.is_cut_off
        tests.wait_until(is_cut_off, 'the browser is told')

    def test_a_wrong_token(self) -> None:
        self.url = self.url.replace(TOKEN, 'guessed')
        who = self.connect()
        tests.wait_until(lambda: who.look() or who.is_cut_off,
                         'the proxy answers')
        self.assertEqual(b'', who.seen)
