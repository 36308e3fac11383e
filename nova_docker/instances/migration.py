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

"""A root disk on its way to another host, through Glance.

No compute host needs to trust another: the disk is a private image of the
caller's for as long as the migration takes.
"""

from __future__ import annotations

import contextlib
from typing import Any
from typing import ClassVar

from nova.image import glance
from nova.network import model
from oslo_log import log as logging
from oslo_serialization import jsonutils

from nova import exception
from nova import objects
from nova_docker.images import snapshot
from nova_docker.instances import configdrive
from nova_docker.instances import power
from nova_docker.instances import spawn
from nova_docker.network import connection
from nova_docker.rootvolume import content

LOG = logging.getLogger(__name__)


class Migration:
    """Sends root disks away and receives them.

    :param image_api: Glance
    :param snapshots: uploads a root disk
    :param stops: stops the server first
    :param build: builds it anew
    :param roots: knows whose root disk is a volume
    :param network: takes it off the network here
    """

    #: What is told of a disk that stays where it is.
    NOWHERE: ClassVar[str] = jsonutils.dumps({})

    def __init__(self, image_api: glance.API, snapshots: snapshot.Snapshot,
                 stops: power.Power, build: spawn.Spawn,
                 roots: content.Roots,
                 network: connection.Connection) -> None:
        self._image_api = image_api
        self._snapshots = snapshots
        self._power = stops
        self._build = build
        self._roots = roots
        self._network = network

    @staticmethod
    def is_away(disk_info: str) -> bool:
        """Whether a disk was sent from another host."""
        return 'image' in jsonutils.loads(disk_info or '{}')

    def send(self, context: Any, instance: objects.Instance,
             network_info: model.NetworkInfo, timeout: int) -> str:
        """Stop the server and upload its root disk, if it is no volume.

        It stays here as well, until the migration is confirmed. After a
        failure the server runs as before.

        :param timeout: seconds to stop in
        :returns: what :meth:`receive` takes
        """
        was_running = self._power.is_running(instance)
        self._power.off(instance, timeout)
        try:
            # The switch would go on to take the ports for this host's, and
            # keep from them what is for the other's.
            self._network.unplug(instance, network_info)
            image_id = (None if self._roots.has_any(instance)
                        else self._upload(context, instance))
        except Exception:
            if was_running:
                self._power.on(instance, connection.known_ports(instance))
            raise
        return str(jsonutils.dumps({'image': image_id}))

    def _upload(self, context: Any, instance: objects.Instance) -> str:
        """Return the id of a new image of the root disk."""
        image_id = None
        try:
            image_id = str(self._image_api.create(context, {
                'name': f'nova-docker migration of {instance.uuid}',
                'visibility': 'private',
            })['id'])
            self._snapshots.upload(context, instance, image_id)
        except Exception:
            self._forget(context, instance, image_id)
            raise
        return image_id

    def receive(self, context: Any, instance: objects.Instance,
                disk_info: str, network_info: model.NetworkInfo,
                power_on: bool) -> None:
        """Build the server from a disk that was sent; delete its image.

        :param disk_info: what :meth:`send` returned
        """
        image_id = jsonutils.loads(disk_info)['image']
        try:
            self._build(
                context, instance, objects.ImageMeta.from_image_ref(
                    context, self._image_api, image_id) if image_id
                else objects.ImageMeta.from_instance(instance),
                configdrive.Details(network_info), power_on)
        finally:
            self._forget(context, instance, image_id)

    def _forget(self, context: Any, instance: objects.Instance,
                image_id: str | None) -> None:
        if image_id is None:
            return
        try:
            with contextlib.suppress(exception.ImageNotFound):
                self._image_api.delete(context, image_id)
        except Exception as error:
            LOG.warning('The image %s of a migration stays in Glance: %s',
                        image_id, error, instance=instance)
