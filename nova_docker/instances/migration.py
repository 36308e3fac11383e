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

"""The disks of a server on their way to another host, through Glance."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any
from typing import ClassVar
from typing import Final

from nova import exception
from nova.image import glance
from nova.network import model
from oslo_serialization import jsonutils

from nova import objects
from nova_docker.conf import CONF
from nova_docker.images import download
from nova_docker.images import limits
from nova_docker.images import parcel
from nova_docker.images import snapshot
from nova_docker.images import upload
from nova_docker.instances import configdrive
from nova_docker.instances import power
from nova_docker.instances import spawn
from nova_docker.network import connection
from nova_docker.rootvolume import content
from nova_docker.volumes import ephemeral

#: What nova-compute tells the other one. A version that does not know these
#: keys fails, and nothing is lost.
_SENT: Final = 'sent'
_ROOT: Final = 'root'
_EPHEMERAL: Final = 'ephemeral'
_NAMES: Final = 'names'


class Migration:
    """Sends the disks of servers away and receives them.

    :param image_api: Glance
    :param snapshots: uploads a root disk
    :param stops: stops the server first
    :param build: builds it anew
    :param roots: knows whose root disk is a volume
    :param network: takes it off the network here
    :param local: has the ephemeral disks
    """

    #: What is told of disks that stay where they are.
    NOWHERE: ClassVar[str] = jsonutils.dumps({})

    def __init__(self, image_api: glance.API, snapshots: snapshot.Snapshot,
                 stops: power.Power, build: spawn.Spawn,
                 roots: content.Roots, network: connection.Connection,
                 local: ephemeral.Ephemeral) -> None:
        self._image_api = image_api
        self._post = parcel.Post(image_api)
        self._snapshots = snapshots
        self._power = stops
        self._build = build
        self._roots = roots
        self._network = network
        self._local = local

    @staticmethod
    def is_away(disk_info: str) -> bool:
        """Whether disks were sent from another host."""
        return _SENT in jsonutils.loads(disk_info or '{}')

    def send(self, context: Any, instance: objects.Instance,
             network_info: model.NetworkInfo, timeout: int) -> str:
        """Stop the server and upload its disks, those that are no volumes.

        They stay here as well, until the migration is confirmed. After a
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
            sent = self._send(context, instance)
        except Exception:
            self._local.ensure(instance)
            if was_running:
                self._power.on(instance, connection.known_ports(instance))
            raise
        return str(jsonutils.dumps({_SENT: sent}))

    def _send(self, context: Any, instance: objects.Instance
              ) -> dict[str, Any]:
        """Return what was sent, in terms of JSON."""
        sent: dict[str, Any] = {}
        names = self._local.names(instance)
        try:
            if not self._roots.has_any(instance):
                sent[_ROOT] = dataclasses.asdict(self._post.send(
                    context, instance, 'root disk', functools.partial(
                        self._upload_root, context, instance)))
            if names:
                sent[_EPHEMERAL] = {_NAMES: names, **dataclasses.asdict(
                    self._post.send(
                        context, instance, 'ephemeral disks',
                        functools.partial(self._upload_local, context,
                                          instance)))}
        except Exception:
            self._discard(context, instance, sent)
            raise
        return sent

    def _upload_root(self, context: Any, instance: objects.Instance,
                     image_id: str) -> str:
        return self._snapshots.upload(context, instance, image_id, hashed=True)

    def _upload_local(self, context: Any, instance: objects.Instance,
                      image_id: str) -> str:
        image = upload.Upload(
            self._image_api, context, image_id,
            {'container_format': 'bare', 'disk_format': 'raw'}, hashed=True)
        return image.send(self._local.packed(instance))

    def forget(self, context: Any, instance: objects.Instance,
               disk_info: str) -> None:
        """Delete what was sent, if anything was: it is not received."""
        self._discard(context, instance,
                      jsonutils.loads(disk_info).get(_SENT, {}))

    def receive(self, context: Any, instance: objects.Instance,
                disk_info: str, details: configdrive.Details,
                power_on: bool) -> None:
        """Build the server from disks that were sent; delete their images.

        :param disk_info: what :meth:`send` returned
        :param details: its ports and volumes
        """
        sent = jsonutils.loads(disk_info)[_SENT]
        try:
            if _EPHEMERAL in sent:
                self._unpack(context, instance, **sent[_EPHEMERAL])
            root = sent.get(_ROOT)
            self._build(
                context, instance, objects.ImageMeta.from_image_ref(
                    context, self._image_api, root['image']) if root
                else objects.ImageMeta.from_instance(instance),
                details, power_on, root and root['sha256'])
        finally:
            self._discard(context, instance, sent)

    def _unpack(self, context: Any, instance: objects.Instance,
                names: list[str], image: str, sha256: str) -> None:
        try:
            with download.promised(context, image, sha256,
                                   CONF.docker.stream_timeout) as pieces:
                self._local.unpack(instance, names, pieces)
        except limits.Unacceptable as error:
            raise exception.ImageUnacceptable(
                image_id=image, reason=error.reason) from error

    def _discard(self, context: Any, instance: objects.Instance,
                 sent: Mapping[str, Any]) -> None:
        for each in sent.values():
            self._post.discard(context, instance, each['image'])
