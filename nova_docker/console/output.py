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

"""Console output: a bounded tail of what the workload wrote."""

from __future__ import annotations

from oslo_utils import units

from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names


def tail(engine: client.Engine, name: str, lines: int, limit: int,
         since: float = 0) -> bytes:
    """Return the end of a container's log.

    :param lines: at most
    :param limit: bytes at most; a line has no bound
    :param since: seconds since the epoch; what is older is left out
    """
    kept = bytearray()
    for piece in engine.log_tail(name, lines, since):
        kept += piece
        del kept[:-limit]
    return bytes(kept)


class Output:
    """Reads console logs.

    :param engine: which keeps them
    :param limit: KiB returned at most
    """

    #: Lines asked of the engine. One has no bound, but the log has.
    LINES = 10000

    def __init__(self, engine: client.Engine, limit: int) -> None:
        self._engine = engine
        self._limit = limit * units.Ki

    def tail(self, instance: objects.Instance) -> str:
        """Return the end of the console log.

        One character is one byte: Nova's manager encodes the text as
        latin-1 again.

        :raises ConsoleNotAvailable: before the workload has been created
        """
        try:
            found = tail(self._engine, names.workload(instance.uuid),
                         self.LINES, self._limit)
        except errors.EngineNotFound as error:
            raise exception.ConsoleNotAvailable() from error
        return found.decode('latin-1')
