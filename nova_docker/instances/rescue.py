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

"""Rescue: another image on the server's network, its root disk beside it."""

from __future__ import annotations

from typing import Any

from nova.compute import vm_states
from nova.network import model
from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import password
from nova_docker.instances import power
from nova_docker.instances import rootdisk
from nova_docker.instances import workload
from nova_docker.network import connection
from nova_docker import settings

LOG = logging.getLogger(__name__)

#: Where the root disk is in the rescue container.
MOUNT_POINT = '/rescue'


class Rescue:
    """Rescues servers, and ends it.

    :param images: brings the rescue image into the engine
    :param workloads: sets the server's own workload aside
    :param stopped: stops and starts workloads
    :param disks: mounts the root disk
    :param passwords: sets root's password
    """

    def __init__(self, images: store.Store, workloads: workload.Workload,
                 stopped: power.Power, disks: rootdisk.RootDisk,
                 passwords: password.Password) -> None:
        self._images = images
        self._workloads = workloads
        self._power = stopped
        self._disks = disks
        self._passwords = passwords

    def begin(self, context: Any, instance: objects.Instance,
              network_info: model.NetworkInfo, image_meta: objects.ImageMeta,
              admin_password: str | None) -> None:
        """Boot the rescue image in the server's place.

        It has the server's ports, addresses and keys, and the server's root
        disk at :data:`MOUNT_POINT`. :meth:`end` is its twin. On failure the
        server is as it was, and stopped.
        """
        image = self._images.ensure(context, instance, image_meta)
        asked = settings.workload({}, self._images.properties(
            context, image_meta.id))
        self._power.off(instance)
        self._workloads.set_aside(instance)
        try:
            self._disks.mount(instance)
            self._workloads.create(
                instance, image, configdrive.Details(network_info,
                    admin_password=admin_password),
                asked=asked, binds=[
                    f'{rootdisk.directory(instance)}:{MOUNT_POINT}'])
            self._power.on(instance, network_info)
        except Exception:
            self._give_up(instance)
            raise
        self._let_in(instance, admin_password)

    def end(self, instance: objects.Instance) -> None:
        """Remove the rescue container and start the server again.

        Can be run again.
        """
        self._undo(instance)
        self._power.on(instance, connection.known_ports(instance))

    def recover(self) -> None:
        """Undo what a nova-compute that was killed had begun.

        Nova leaves such a server in a task that never ends. It is as it was,
        and stopped, when an operator sets its state.
        """
        self._workloads.recover()
        for uuid in self._workloads.with_stand_in():
            try:
                self._undo_unless_rescued(objects.Instance.get_by_uuid(
                    nova_context.get_admin_context(), uuid))
            except exception.InstanceNotFound:
                continue  # It is another cloud's, or about to be removed.
            except Exception:
                LOG.exception('A rescue that was cut short stays so.',
                              instance_uuid=uuid)

    def _undo_unless_rescued(self, instance: objects.Instance) -> None:
        if (instance.vm_state != vm_states.RESCUED and
                self._disks.is_lent(instance)):
            LOG.warning('Its rescue was cut short: it has its own root disk '
                        'again.', instance=instance)
            self._undo(instance)

    def _undo(self, instance: objects.Instance) -> None:
        self._workloads.remove_stand_in(instance)
        self._disks.unmount(instance)
        self._workloads.bring_back(instance)

    def _give_up(self, instance: objects.Instance) -> None:
        try:
            self._undo(instance)
        except Exception:
            LOG.exception('The server could not be brought back after a '
                          'failed rescue.', instance=instance)

    def _let_in(self, instance: objects.Instance,
                admin_password: str | None) -> None:
        """Set root's password where the image has a way to do so.

        The server is rescued by now, whatever comes of that.
        """
        if admin_password:
            try:
                self._passwords.set(instance, admin_password)
            except (errors.EngineError, exception.NovaException) as error:
                LOG.warning("It is rescued without a password of root's: %s",
                            error, instance=instance)
