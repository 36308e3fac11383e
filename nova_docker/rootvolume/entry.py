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

"""The start of a workload, which enters its volume where that is its root."""

from __future__ import annotations

from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.privsep import pivot
from nova_docker.rootvolume import gate
from nova_docker.rootvolume import layout

LOG = logging.getLogger(__name__)

#: What only the engine needs of what it mounts.
_LEFT = ('/sbin/docker-init',)


class Entry:
    """Starts workloads.

    :param engine: where they run
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine

    def start(self, name: str) -> None:
        """Start a workload; a running one stays as it is.

        Nothing of a server runs before its volume is its root.

        :raises EngineBadRequest: it can't be; the workload does not run
        """
        container = self._engine.container(name)
        self._engine.start(name)
        root = layout.source(container)
        if root is None:
            return
        try:
            self._enter(name, container, root)
        except (OSError, ValueError) as error:
            self._engine.signal(name, 'SIGKILL')
            raise errors.EngineBadRequest(_sentence(container, error)
                                          ) from error

    def _enter(self, name: str, container: client.Document,
               root: str) -> None:
        started = self._engine.container(name)
        pid = started['State']['Pid']
        if not pid:
            raise ProcessLookupError('the container has ended')
        pivot.enter(
            pid, root, layout.PLACE, _LEFT, gate.PIPE,
            layout.command(container)[0],
            layout.search_path(layout.environment(container)),
            layout.workdir(container))


def _sentence(container: client.Document, error: Exception) -> str:
    program = layout.command(container)[0]
    if isinstance(error, FileNotFoundError) and error.filename == program:
        return (f"the command '{program}' does not exist on the root volume "
                'or is not executable')
    if isinstance(error, OSError) and error.filename:
        return (f"the root volume can not be used: {error.filename}: "
                f'{error.strerror}')
    return f'the root volume can not be used: {error}'
