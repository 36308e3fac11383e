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

"""An engine that says something else of itself than the real one."""

from __future__ import annotations

from http import server
import json
import os
import socket
import socketserver
import tempfile
import threading
from typing import Any

import fixtures


class Engine(fixtures.Fixture):
    """A unix socket that answers questions about an engine.

    :param version: answers ``GET /version``
    :param info: answers ``GET /info``
    """

    def __init__(self, version: dict[str, Any], info: dict[str, Any]) -> None:
        super().__init__()
        self._answers = {'version': version, 'info': info}

    def _setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        path = os.path.join(home.name, 'docker.sock')
        self.url = f'unix://{path}'
        answers = self._answers

        class Handler(server.BaseHTTPRequestHandler):
            def address_string(self) -> str:
                return 'a unix socket'

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

            def do_GET(self) -> None:
                body = json.dumps(
                    answers[self.path.rpartition('/')[2]]).encode()
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, Any]:
                return super().get_request()[0], ('', 0)

        serving = Server(path, Handler)
        self.addCleanup(serving.server_close)
        self.addCleanup(serving.shutdown)
        threading.Thread(target=serving.serve_forever, daemon=True,
                         kwargs={'poll_interval': 0.05}).start()
