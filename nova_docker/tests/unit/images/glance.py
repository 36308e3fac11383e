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

"""A Glance that has one image, for tests of what is around it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import threading
from typing import Any
from typing import Protocol
from unittest import mock

from nova.image import glance


class _Target(Protocol):
    def write(self, data: bytes) -> None: ...


class Glance:
    """Sends one image's bytes the way Nova's image API writes them.

    :param content: makes the pieces anew for each download
    """

    def __init__(self, content: Callable[[], Iterable[bytes]]) -> None:
        self._content = content
        #: Downloads that have begun, and what each had as trusted_certs.
        self.downloads: list[Any] = []
        #: Downloads have ended, this way or that.
        self.idle = threading.Event()
        self.api = mock.create_autospec(glance.API, instance=True)
        self.api.download.side_effect = self._download

    def _download(self, context: Any, image_id: str, data: _Target,
                  dest_path: None = None, trusted_certs: Any = None) -> None:
        self.downloads.append(trusted_certs)
        self.idle.clear()
        try:
            for piece in self._content():
                data.write(piece)
        finally:
            self.idle.set()
