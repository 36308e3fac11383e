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

"""Whether a command exists in a workload's image.

docker-init starts whatever the command is, so the engine can't refuse one
that is not there: the container would only end at once, with a code that
the user never sees.
"""

from __future__ import annotations

import posixpath
import stat

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import files
from nova_docker.rootvolume import layout

#: By anybody: whose command it is, only the engine knows.
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
#: Directories that are looked into, each with a question to the engine. The
#: owner of the image chooses how many its PATH has.
_MOST_DIRECTORIES = 64


def _candidates(container: client.Document, command: str) -> list[str]:
    directories = ([''] if '/' in command else dict.fromkeys(
        layout.search_path(layout.environment(container))))
    return [posixpath.join(layout.workdir(container), directory, command)
            for directory in directories]


def _is_executable(engine: files.Source, name: str, path: str) -> bool:
    try:
        _path, found = files.find(engine, name, path)
    except (errors.EngineNotFound, errors.EngineBadRequest):
        return False
    return found.is_file and bool(found.mode & _EXECUTABLE)


def exists(engine: files.Source, container: client.Document,
           command: str) -> bool:
    """Tell whether a container has a program.

    :param container: inspected
    :param command: as a shell would take it, a path or a name
    :returns: true, too, where only a start can tell: that goes through the
        longest PATH
    """
    candidates = _candidates(container, command)
    return len(candidates) > _MOST_DIRECTORIES or any(
        _is_executable(engine, container['Id'], path) for path in candidates)


def check(engine: files.Source, name: str) -> None:
    """See that a created container's command can be run.

    :param name: the container
    :raises EngineBadRequest: with a sentence that names the command
    """
    container = engine.container(name)
    program = layout.command(container)[0]
    if not exists(engine, container, program):
        raise errors.EngineBadRequest(
            f"the command '{program}' does not exist in the image "
            "or is not executable")
