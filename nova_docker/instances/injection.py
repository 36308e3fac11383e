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

"""Files that the user gives with the server, in its root file system."""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import posixpath

from nova import objects
from nova_docker import errors
from nova_docker.instances import files
from nova_docker import names

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_PERMISSIONS = 0o777


class Injection:
    """Writes into a workload before its first start.

    Symbolic links of the image lead where they would inside the container,
    and never out of it.

    :param engine: whose containers are written to
    """

    def __init__(self, engine: files.Source) -> None:
        self._engine = engine

    def write(self, instance: objects.Instance,
              given: Sequence[tuple[str, bytes]]) -> None:
        """Write every file, with the directories that it lacks.

        They are root's. A file that replaces one of the image takes its
        permissions.

        :param given: paths, which begin at / in any case, and contents
        :raises BadInjectedFile: naming the first that can't be written
        """
        for path, content in given:
            try:
                self._write(names.workload(instance.uuid), path, content)
            except errors.EngineUnavailable:
                raise
            except errors.EngineError as error:
                raise errors.BadInjectedFile(
                    path=path, reason=error.message) from error

    def _write(self, name: str, path: str, content: bytes) -> None:
        # Above / is nothing: with too many '..' the path begins there.
        whole = posixpath.normpath('/' + path.lstrip('/'))
        directory, missing = self._directory(name, posixpath.dirname(whole))
        created = list(itertools.accumulate([directory, *missing],
                                            posixpath.join))
        target, mode = self._target(
            name, posixpath.join(created[-1], posixpath.basename(whole)))
        self._engine.write_archive(name, '/', files.pack([
            *(files.Member(each.lstrip('/'), _DIRECTORY_MODE)
              for each in created[1:]),
            files.Member(target.lstrip('/'), mode, content)]))

    def _directory(self, name: str, path: str) -> tuple[str, list[str]]:
        """Return how far a path exists, without links, and what is missing.

        What exists is not written, since that would change its permissions.
        """
        present, parts = '/', path.strip('/').split('/') if path != '/' else []
        while parts:
            try:
                present, found = files.find(
                    self._engine, name, posixpath.join(present, parts[0]))
            except errors.EngineNotFound:
                break
            if not found.is_directory:
                raise errors.EngineError(f"the image's {present} is not a "
                                         'directory')
            del parts[0]
        return present, parts

    def _target(self, name: str, path: str) -> tuple[str, int]:
        """Return where a path leads, and the permissions to give it."""
        try:
            path, found = files.find(self._engine, name, path)
        except errors.EngineNotFound:
            return path, _FILE_MODE
        if not found.is_file:
            raise errors.EngineError(f"the image's {path} is not a file")
        return path, found.mode & _PERMISSIONS
