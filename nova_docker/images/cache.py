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

"""The image cache: fetched ahead of time, and removed when long unused."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import datetime
from typing import Final

from nova import context as nova_context
from nova.image import glance
from nova import objects
from oslo_log import log as logging
from oslo_utils import timeutils
from oslo_utils import units

from nova_docker import conf
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker import names

CONF = conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds after which a server that asked for an image surely has its
#: container, however young an image Nova's option lets us remove.
_SETTLING: Final = 600


class Cache:
    """Manages the engine images that came from Glance, and no others.

    Nothing is remembered here: each run touches what is used, so that an
    image's last touch is the last time that it was found in use, before and
    after a restart of nova-compute.

    :param engine: where they are
    :param images: touches and removes them
    :param image_api: describes what is to be fetched
    """

    def __init__(self, engine: client.Engine, images: store.Store,
                 image_api: glance.API) -> None:
        self._engine = engine
        self._images = images
        self._image_api = image_api

    def fetch(self, context: nova_context.RequestContext,
              image_id: str) -> bool:
        """Bring an image here ahead of the first server.

        :returns: whether it was fetched, and not here already
        """
        return self._images.cache(context, objects.ImageMeta.from_image_ref(
            context, self._image_api, image_id))

    def manage(self, instances: Iterable[objects.Instance]) -> None:
        """Remove what has not been used for long.

        :param instances: those whose images are used, whatever is here
        """
        used = self._used(instances)
        kept = removed = size = 0
        for reference, image in self._present():
            if {reference, image['Id']} & used:
                self._images.touch(reference)
            elif self._remove(reference):
                removed, size = removed + 1, size + image['Size']
                continue
            kept += 1
        LOG.info('Image cache: %d images kept, %d removed, which frees up to '
                 '%d MiB (%d bytes).', kept, removed, size // units.Mi, size)

    def _used(self, instances: Iterable[objects.Instance]) -> set[str]:
        """Return names and ids of the images that anything depends on.

        A container has both: its image's name may have moved on.
        """
        named = {instance.image_ref for instance in instances}
        found: set[str] = set()
        for container in self._engine.containers([names.UUID]):
            found.update((container['Image'], container['ImageID']))
            named.add(container['Labels'].get(names.IMAGE))
        return found | {names.image_reference(image_id)
                        for image_id in named if image_id}

    def _present(self) -> Iterator[tuple[str, client.Document]]:
        for image in self._engine.images(names.image_reference('*')):
            for reference in image['RepoTags']:
                if names.is_image(reference):
                    yield reference, image

    def _remove(self, reference: str) -> bool:
        options = CONF.image_cache
        if not options.remove_unused_base_images:
            return False
        age = max(options.remove_unused_original_minimum_age_seconds,
                  _SETTLING)
        since = (timeutils.utcnow(with_timezone=True) -
                 datetime.timedelta(seconds=age))
        try:
            removed = self._images.remove_idle(reference, since)
        except errors.EngineConflict:
            # A container that is not ours uses it, or one that is new.
            return False
        if removed:
            LOG.info('Removed the unused image %s.', reference)
        return removed
