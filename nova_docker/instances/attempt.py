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

"""Whether the engine can give a server what another flavor asks for."""

from __future__ import annotations

import contextlib

from nova import objects
from nova_docker.engine import client
from nova_docker import names
from nova_docker.network import sandbox
from nova_docker import spec


class Attempt:
    """Starts containers in which nothing runs, and removes them.

    Some of what a flavor has the engine refuses only at the start, as a
    device that is not there or a sysctl that the kernel does not know. By
    then the server has been stopped for it.

    :param engine: where they are started
    :param boxes: has the image that does nothing
    """

    def __init__(self, engine: client.Engine,
                 boxes: sandbox.Sandbox) -> None:
        self._engine = engine
        self._boxes = boxes

    def __call__(self, instance: objects.Instance,
                 body: client.Document) -> None:
        """See that the engine starts what a workload is about to be.

        :param body: the create arguments of the workload
        :raises EngineError: with the engine's reason
        """
        name = names.attempt(instance.uuid)
        with contextlib.ExitStack() as stack:
            stack.callback(self._engine.remove, name)
            self._engine.create(name, spec.attempt(
                body, self._boxes.prepare(), self._network(instance)))
            self._engine.start(name)

    def prepare(self) -> None:
        """Remove what a nova-compute that was killed has left."""
        for container in self._engine.containers(
                [f'{names.ROLE}={names.Role.ATTEMPT}']):
            self._engine.remove(container['Id'])

    def _network(self, instance: objects.Instance) -> str:
        """Return the mode of a workload's network; its sandbox may rest."""
        box = names.sandbox(instance.uuid)
        runs = self._engine.container(box)['State']['Running']
        return f'container:{box}' if runs else 'none'
