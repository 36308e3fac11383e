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

"""A wire between the driver and its engine that a test can cut."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import tempfile
import threading

import fixtures


class Proxy(fixtures.Fixture):
    """A unix socket that leads to the engine's.

    :param engine_url: ``unix:///path`` of the engine
    """

    def __init__(self, engine_url: str) -> None:
        super().__init__()
        self._engine = engine_url.removeprefix('unix://')
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._hanging = False
        self._gathering = False

    def _setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self._path = pathlib.Path(home.name, 'docker.sock')
        self.url = f'unix://{self._path}'
        self.mend()
        self.addCleanup(self.cut)

    def mend(self) -> None:
        """Lead to the engine, as in the beginning."""
        self.cut()
        self._hanging = False
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen()
        with self._lock:
            self._listener = listener
        self._serve(self._accept, listener)

    def cut(self) -> None:
        """Break every connection and take no more: the engine is gone."""
        with self._lock:
            ended = [self._listener, *self._connections]
            self._listener, self._connections = None, []
        for each in ended:
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._path.unlink(missing_ok=True)

    def hang(self) -> None:
        """Take connections and bytes, and answer nothing any more."""
        self._hanging = True

    def gather(self) -> None:
        """Let what follows a switch of protocols come in one piece with it.

        It may do so wherever much else is to be done.
        """
        self._gathering = True

    @staticmethod
    def _serve(target: object, *arguments: object) -> None:
        threading.Thread(target=target, args=arguments,  # type: ignore
                         daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                with self._lock:
                    if self._listener is not listener:
                        near.close()
                        far.close()
                        return
                    self._connections += [near, far]
                self._serve(self._carry, near, far)
                self._serve(self._carry, far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._gathering and data.startswith(b'HTTP/1.1 101'):
                    # The header itself comes in several pieces.
                    while not data.partition(b'\r\n\r\n')[2] and (
                            more := source.recv(65536)):
                        data += more
                if not self._hanging:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
