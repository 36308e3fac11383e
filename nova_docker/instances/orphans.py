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

"""What boots left behind that failed, or were cut short."""

from __future__ import annotations

from collections.abc import Iterator
import threading

from nova.compute import vm_states
from nova.network import model
from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import destroy
from nova_docker import names
from nova_docker.network import leftovers

LOG = logging.getLogger(__name__)

#: Seconds that :meth:`Orphans.stop` waits for a removal to end.
_PATIENCE = 5


class Orphans:
    """Cleans up after boots whose own cleaning up found no engine.

    And after those that nova-compute did not live to clean up after. Nova
    forgets on which host such a server was, so nobody else would. What has
    ever run is not touched, nor what this cloud does not know.

    :param engine: where they are
    :param links: where they may be besides
    :param remove: removes an instance
    """

    def __init__(self, engine: client.Engine, links: leftovers.Leftovers,
                 remove: destroy.Destroy) -> None:
        self._engine = engine
        self._links = links
        self._remove = remove
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def lost(self, reason: str) -> None:
        """Wait until the engine is back."""

    def found(self) -> None:
        """Begin to remove every one, without waiting for it.

        That may take minutes for each. While it lasts another does not begin;
        what fails, or comes too late, is for the next time.
        """
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._clean, name='docker-orphans', daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Remove no other; can be run again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _clean(self) -> None:
        try:
            self.clean()
        except errors.EngineError as error:
            LOG.warning('What failed boots have left is not known: %s', error)
        except Exception:
            LOG.exception('What failed boots have left is not known.')

    def clean(self) -> None:
        """Remove every one, unless stopped."""
        for uuid in self._never_started():
            if self._stopping.is_set():
                return
            try:
                instance = _given_up(uuid)
                if instance is not None:
                    LOG.info('Removing what its failed boot has left.',
                             instance=instance)
                    self._remove(instance, model.NetworkInfo())
                    self._links.remove(uuid)
            except Exception:
                LOG.exception('What a failed boot has left stays.',
                              instance_uuid=uuid)

    def _never_started(self) -> Iterator[str]:
        """Yield the instances with a sandbox at most, or a new workload."""
        containers = self._engine.containers([names.UUID])
        started = {
            names.uuid_of(container) for container in containers
            if container['Labels'].get(names.ROLE) == names.Role.WORKLOAD
            and container['State'] != 'created'}
        present = {container['Labels'][names.UUID]
                   for container in containers}
        yield from sorted((present | self._with_links()) - started)

    def _with_links(self) -> set[str]:
        try:
            return self._links.owners()
        except Exception:
            LOG.exception('What links are left is not known.')
            return set()


def _given_up(uuid: str) -> objects.Instance | None:
    """Return the instance if Nova has given it up; it may be deleted.

    Nova's API deletes a server without a host in two steps: for a moment its
    state is DELETED while its row is not.
    """
    context = nova_context.get_admin_context(read_deleted='yes')
    try:
        instance = objects.Instance.get_by_uuid(context, uuid)
    except exception.InstanceNotFound:
        return None
    given_up = (instance.vm_state in (vm_states.ERROR, vm_states.DELETED)
                and not instance.host)
    return instance if instance.deleted or given_up else None
