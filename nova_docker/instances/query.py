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

"""What instances are here, and in what state."""

from __future__ import annotations

from typing import Any

from nova.compute import power_state
from oslo_log import log as logging

from nova import objects
from nova.virt import hardware
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names

LOG = logging.getLogger(__name__)

_STATES = {
    'created': power_state.SHUTDOWN,
    'running': power_state.RUNNING,
    'restarting': power_state.RUNNING,
    'paused': power_state.PAUSED,
    'exited': power_state.SHUTDOWN,
    'removing': power_state.SHUTDOWN,
    'dead': power_state.CRASHED,
}


def state_of(container: dict[str, Any]) -> int:
    """Return Nova's power state for an inspected container."""
    return _STATES.get(container['State']['Status'], power_state.NOSTATE)


def actual_state(engine: client.Engine, container: dict[str, Any]) -> int:
    """Return Nova's power state for an inspected container.

    One whose processes wait on disk has ended, but is no more than suspended.
    """
    state = state_of(container)
    if state == power_state.SHUTDOWN and engine.has_checkpoint(
            container['Id']):
        return int(power_state.SUSPENDED)
    return state


class Query:
    """Lists and inspects this driver's instances.

    :param engine: which is asked; nothing is remembered
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine

    def uuids(self) -> list[str]:
        """Return the uuids of the instances that are here.

        One that has only a sandbox is half built or half gone: Nova must
        see it to clean it up.
        """
        return self._labels(names.UUID)

    def names(self) -> list[str]:
        """Return Nova's names of the instances that are here."""
        return self._labels(names.NAME)

    def _labels(self, label: str) -> list[str]:
        return sorted({container['Labels'][label]
                       for container in self._engine.containers([label])})

    def workloads(self) -> dict[str, int]:
        """Return the uuid and power state of every workload."""
        role = f'{names.ROLE}={names.Role.WORKLOAD}'
        return {container['Labels'][names.UUID]: self._state(container)
                for container in self._engine.containers([role])
                if names.is_workload(container['Names'][0])}

    def _state(self, row: client.Document) -> int:
        """Return the power state for a row of the container list."""
        return actual_state(self._engine, {
            'Id': row['Id'], 'State': {'Status': row['State']}})

    def info(self, instance: objects.Instance) -> hardware.InstanceInfo:
        """Return the instance's power state and the container's id.

        The state is none where the engine fails at this one container: an
        error would keep nova-compute from starting.
        """
        try:
            container = self._engine.container(names.workload(instance.uuid))
            return hardware.InstanceInfo(
                state=actual_state(self._engine, container),
                internal_id=container['Id'])
        except (errors.EngineNotFound, errors.EngineUnavailable):
            raise
        except errors.EngineError as error:
            LOG.warning('The engine can not tell its state: %s', error,
                        instance=instance)
            return hardware.InstanceInfo(state=power_state.NOSTATE)
