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

"""The files of a container, be its root the engine's or a volume."""

from __future__ import annotations

import posixpath
import stat

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.privsep import rootfiles
from nova_docker.rootvolume import layout

#: In the engine's modes, which are Go's: a directory, and what is no file.
_DIRECTORY, _IRREGULAR = 0x80000000, 0x80000


class Files:
    """Looks at files, reads and writes them, as the engine does.

    The engine's own calls know nothing of a root that is a volume: to them it
    is a directory, in which a link to / leads out of the server.

    :param engine: whose containers they are in
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine

    def container(self, name: str) -> client.Document:
        """Inspect a container; EngineNotFound when there is none."""
        return self._engine.container(name)

    def stat(self, name: str, path: str) -> client.FileStat:
        """Describe a file, as :meth:`nova_docker.engine.client.Engine.stat`.

        :raises EngineNotFound: if there is none
        """
        root = layout.source(self._engine.container(name))
        if root is None:
            return self._engine.stat(name, path)
        found = rootfiles.look(root, path)
        if found is None:
            raise errors.EngineNotFound(f'there is no {path}', 404)
        whole, mode, size = found
        linked = whole != posixpath.normpath('/' + path.lstrip('/'))
        return client.FileStat(
            stat.S_IMODE(mode) | (_DIRECTORY if stat.S_ISDIR(mode) else
                                  0 if stat.S_ISREG(mode) else _IRREGULAR),
            size, whole if linked else '')

    def read_archive(self, name: str, path: str) -> bytes:
        """Return a tar of a small file; EngineNotFound without it.

        :param path: without links, as :meth:`stat` says
        """
        return self._engine.read_archive(name, self._place(name) + path)

    def write_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpack a tar below a path, which is without links."""
        self._engine.write_archive(name, self._place(name) + path, archive)

    def _place(self, name: str) -> str:
        return (layout.PLACE if layout.source(self._engine.container(name))
                else '')
