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

"""What one compute host sends another through Glance.

No host needs to trust another, nor Glance: the digest goes with Nova's own
messages, and what was sent is a private image of the caller's meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
from typing import Any

from nova.image import glance
from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker.images import filters

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Parcel:
    """Something that waits in Glance.

    :param image: the id of the image
    :param sha256: its digest, in hexadecimal digits
    """

    image: str
    sha256: str


class Post:
    """Sends parcels, and removes them.

    :param image_api: Glance
    """

    def __init__(self, image_api: glance.API) -> None:
        self._image_api = image_api

    def send(self, context: Any, instance: objects.Instance, what: str,
             fill: Callable[[str], str]) -> Parcel:
        """Make an image for what an instance has; none if that fails.

        What an earlier try has left, whose nova-compute was killed, goes.

        :param what: for the image's name
        :param fill: uploads it to the image of an id; returns its digest
        """
        name = f'nova-docker migration of {instance.uuid}: {what}'
        self._discard_left(context, instance, name)
        image_id = str(self._image_api.create(context, {
            'name': name,
            'visibility': 'private',
        })['id'])
        try:
            return Parcel(image_id, fill(image_id))
        except Exception:
            self.discard(context, instance, image_id)
            raise

    def _discard_left(self, context: Any, instance: objects.Instance,
                      name: str) -> None:
        """Remove the private images of the caller's project with a name.

        Anybody can give that name, but nobody an image to another project.
        Whoever may name one of this project's may as well delete it.
        """
        if not context.project_id:
            return
        own = {'name': name, 'owner': context.project_id}
        try:
            found = self._image_api.get_all(
                context, filters={'name': filters.literal(name),
                                  'owner': context.project_id,
                                  'visibility': 'private'})
        except Exception as error:
            LOG.warning('Whether Glance has "%s" already is not known: %s',
                        name, error, instance=instance)
            return
        for image in found:
            # What is deleted depends on no filter of somebody else's.
            if own.items() <= image.items() and not image.get('is_public'):
                self.discard(context, instance, image['id'])

    def discard(self, context: Any, instance: objects.Instance,
                image_id: str) -> None:
        """Remove an image; whoever waits for more does not wait for that."""
        try:
            with contextlib.suppress(exception.ImageNotFound):
                self._image_api.delete(context, image_id)
        except Exception as error:
            LOG.warning('The image %s of a migration stays in Glance: %s',
                        image_id, error, instance=instance)
