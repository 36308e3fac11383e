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

"""Lets servers go on that wait for their root volume without anybody near.

So does one that was started when nova-compute was killed, and one that
somebody starts, or restarts, by the engine's own means.
"""

from __future__ import annotations

import collections
import threading

from nova.compute import task_states
from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova import objects
from nova import utils
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.rootvolume import entry
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)

#: Servers that are looked at, at a time.
HANDS = 8
#: What Nova does with a server that must not enter its volume meanwhile. Until
#: an evacuation has ended it is rebuilt, and has the host that it leaves.
_TAKEN = (task_states.DELETING, task_states.SOFT_DELETING,
          task_states.REBUILDING, task_states.REBUILD_BLOCK_DEVICE_MAPPING,
          task_states.REBUILD_SPAWNING)


class Porter:
    """Opens the gates that nobody else is about to open.

    :param engine: knows what runs
    :param starts: lets a workload enter its volume
    :param attached: sees that it has its volumes
    """

    def __init__(self, engine: client.Engine, starts: entry.Entry,
                 attached: whole.Volumes) -> None:
        self._engine = engine
        self._entry = starts
        self._volumes = attached
        self._lock = threading.Lock()
        self._due: collections.deque[str] = collections.deque()
        self._hands = 0
        #: Servers of which somebody waits until Nova's task with it ends.
        self._next: set[str] = set()

    def lost(self, reason: str) -> None:
        """Wait until the engine is back."""

    def found(self) -> None:
        """Look at every workload that runs and has its root on a volume."""
        for container in self._engine.containers(
                [names.WORKDIR, f'{names.ROLE}={names.Role.WORKLOAD}']):
            if container['State'] == 'running':
                self.started(container['Labels'])

    def started(self, labels: client.Document) -> None:
        """Look at a workload that has started, without waiting for it.

        What is done with its volume may take long, and storage may hang.

        :param labels: the container's
        """
        if names.WORKDIR in labels:
            self._ask(labels[names.UUID])

    def _ask(self, uuid: str) -> None:
        """Have somebody look at a server."""
        with self._lock:
            if uuid not in self._due:
                self._due.append(uuid)
            if self._hands == HANDS:
                return
            self._hands += 1
        threading.Thread(
            target=self._work, name='root-volume', daemon=True).start()

    def _work(self) -> None:
        """Look at what is due, until nothing is."""
        while True:
            with self._lock:
                if not self._due:
                    self._hands -= 1
                    return
                uuid = self._due.popleft()
            self._look(uuid)

    def _look(self, uuid: str) -> None:
        try:
            if (self._entry.is_waiting(names.workload(uuid))
                    and self._is_alone(uuid)
                    and utils.synchronized(uuid)(self._let_in)(uuid)):
                LOG.info('It was started by somebody else, or when '
                         'nova-compute ended, and has waited for its root '
                         'volume, which it has now.', instance_uuid=uuid)
        except (errors.EngineNotFound, exception.InstanceNotFound):
            return  # It has gone meanwhile, or is another cloud's.
        except Exception as error:
            LOG.error('It was started by somebody else, or when nova-compute '
                      'ended, and can not have its root volume: %s', error,
                      instance_uuid=uuid)

    def _is_alone(self, uuid: str) -> bool:
        """Tell whether nobody else waits until Nova's task ends."""
        with self._lock:
            alone = uuid not in self._next
            self._next.add(uuid)
        return alone

    def _let_in(self, uuid: str) -> bool:
        """Let a server in, while no task of Nova's is at it."""
        with self._lock:
            self._next.discard(uuid)
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, uuid)
        return _is_ours(instance) and self._entry.complete(
            names.workload(uuid),
            lambda: self._volumes.ensure(context, instance))


def _is_ours(instance: objects.Instance) -> bool:
    """Tell whether a server is here, and stays as it is.

    It may have been evacuated, or be so just now: its volume is another
    host's.
    """
    return instance.host == CONF.host and instance.task_state not in _TAKEN
