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

"""A server that stands still while its volumes are snapshot."""

from __future__ import annotations

from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)


class Quiesce:
    """Quiesces servers whose image asks for it by ``os_require_quiesce``.

    All their processes are frozen, and everything that they have written is
    on the volumes. Nova asks for it where the root disk is a volume, whose
    snapshot is Cinder's; the engine does it by itself for the others.

    :param engine: where they run
    :param attached: has their volumes
    """

    def __init__(self, engine: client.Engine,
                 attached: whole.Volumes) -> None:
        self._engine = engine
        self._volumes = attached

    def begin(self, instance: objects.Instance,
              image_meta: objects.ImageMeta) -> None:
        """Let a server stand still.

        :raises InstanceQuiesceNotSupported: it did not ask for it
        :raises InstanceQuiesceFailed: it runs as before
        """
        _check(instance, image_meta)
        name = names.workload(instance.uuid)
        try:
            self._engine.pause(name)
        except errors.EngineError as error:
            raise exception.InstanceQuiesceFailed(
                reason=error.message) from error
        try:
            self._volumes.flush(instance)
        except OSError as error:
            self._engine.unpause(name)
            raise exception.InstanceQuiesceFailed(
                reason=f'a volume can not be written to: {error}') from error

    def end(self, instance: objects.Instance,
            image_meta: objects.ImageMeta) -> None:
        """Let it go on; one that does already stays so.

        :raises InstanceQuiesceNotSupported: it did not ask for it
        """
        _check(instance, image_meta)
        name = names.workload(instance.uuid)
        if self._engine.container(name)['State']['Paused']:
            self._engine.unpause(name)
        else:
            LOG.warning('It did not stand still until its volumes were '
                        'snapshot.', instance=instance)


def _check(instance: objects.Instance, image_meta: objects.ImageMeta) -> None:
    if not image_meta.properties.get('os_require_quiesce', False):
        raise exception.InstanceQuiesceNotSupported(instance_id=instance.uuid)
