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

"""A user's browser at a serial console: a websocket."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib import parse

from websockify import websocket


class _WebSocket(websocket.WebSocket):
    """Websockify's own client leaves out the query of an address."""

    query = ''

    def send_request(self, kind: str, path: str) -> None:
        super().send_request(kind, f'{path}?{self.query}')


class Browser:
    """Looks at a console, and types.

    :param url: as Nova gives it, with its token
    """

    def __init__(self, url: str) -> None:
        self._websocket: Any = _WebSocket()
        self._websocket.query = parse.urlsplit(url).query
        with contextlib.suppress(websocket.WebSocketWantReadError):
            self._websocket.connect(url)
        self._websocket.socket.settimeout(0)
        self.seen = b''
        self.is_cut_off = False

    def look(self) -> bytes:
        """Return all that was seen up to now."""
        with contextlib.suppress(websocket.WebSocketWantReadError):
            while not self.is_cut_off:
                data = self._received()
                self.is_cut_off = data is None
                self.seen += data or b''
        return self.seen

    def _received(self) -> bytes | None:
        try:
            data: bytes | None = self._websocket.recv()
        except ConnectionError:
            # Who hangs up on something unread does so without a farewell.
            return None
        return data

    def types(self, text: bytes) -> None:
        """Type a short text."""
        self._websocket.send(text)

    def leaves(self) -> None:
        """Close the page; can be done again."""
        if self._websocket.socket is not None:
            with contextlib.suppress(ConnectionError):
                self._websocket.close()
