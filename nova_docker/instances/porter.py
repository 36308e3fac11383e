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

import threading

from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.rootvolume import entry
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)


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
            threading.Thread(
                target=self._look, args=(labels[names.UUID],),
                name='root-volume', daemon=True).start()

    def _look(self, uuid: str) -> None:
        try:
            if self._entry.complete(
                    names.workload(uuid), lambda: self._prepare(uuid)):
                LOG.info('It was started by somebody else, or when '
                         'nova-compute ended, and has waited for its root '
                         'volume, which it has now.', instance_uuid=uuid)
        except (errors.EngineNotFound, exception.InstanceNotFound):
            return  # It has gone meanwhile, or is another cloud's.
        except Exception as error:
            LOG.error('It was started by somebody else, or when nova-compute '
                      'ended, and can not have its root volume: %s', error,
                      instance_uuid=uuid)

    def _prepare(self, uuid: str) -> None:
        context = nova_context.get_admin_context()
        self._volumes.ensure(
            context, objects.Instance.get_by_uuid(context, uuid))
