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

"""An engine's calls for volumes."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib

from nova_docker.engine import calls
from nova_docker.engine import failures
from nova_docker import errors


class Volumes(calls.Calls):
    """What the driver asks of an engine's volumes."""

    @failures.checked
    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume on the engine's own disk; one there stays."""
        self._calls.create_volume(name, labels=dict(labels))

    @failures.checked
    def volumes(self, labels: Sequence[str]) -> list[calls.Document]:
        """List the volumes that carry all the labels.

        :param labels: ``name`` or ``name=value``
        """
        return self._calls.volumes({'label': list(labels)})['Volumes'] or []

    def remove_volume(self, name: str) -> None:
        """Remove a volume; it may be gone already.

        :raises EngineConflict: if a container, even a stopped one, has it
        """
        with contextlib.suppress(errors.EngineNotFound):
            self._remove_volume(name)

    @failures.checked
    def _remove_volume(self, name: str) -> None:
        self._calls.remove_volume(name)
