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

"""From an image to a root file system on a volume, once."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from typing import Any

from oslo_log import log as logging

from nova import exception
from nova.image import glance
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker import names
from nova_docker.privsep import mounttable
from nova_docker.privsep import rootfiles
from nova_docker.rootvolume import description
from nova_docker.rootvolume import gate
from nova_docker.rootvolume import layout
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)

#: Where the volume is in the container through which it is filled.
_VOLUME = '/volume'
_UNWRITTEN = 'it can not be written to'
#: Bytes of /etc/passwd or /etc/group that are read at most.
_ACCOUNTS = 1024 * 1024


class Roots:
    """Finds root file systems on volumes, and makes them.

    :param engine: unpacks the image
    :param images: brings it into the engine
    :param image_api: Glance
    :param attached: knows which volume is a root disk
    :param points: knows where it is mounted
    :param gates: has the image of containers without one
    """

    def __init__(self, engine: client.Engine, images: store.Store,
                 image_api: glance.API, attached: whole.Volumes,
                 points: propagate.Propagation, gates: gate.Gate) -> None:
        self._engine = engine
        self._images = images
        self._image_api = image_api
        self._volumes = attached
        self._points = points
        self._gates = gates

    def prepare(self, context: Any, instance: objects.Instance,
                image_meta: objects.ImageMeta) -> None:
        """See that an instance's root volume has a root file system.

        A blank volume, and one that Cinder has made from an image, gets the
        image's. What was there stays otherwise.

        :raises UnsuitableVolume: it holds something else, or can't be read or
            written to
        """
        record = self._record(instance)
        with _explained(record, 'it can not be read'):
            state = rootfiles.state(self._point(record))
        if state == rootfiles.State.OTHER:
            raise _unsuitable(
                record, 'it has files, but no root file system that a '
                'container of this cloud was booted from.')
        if state == rootfiles.State.BLANK:
            self._gates.prepare()
            self._unpack(context, instance, record, image_meta)

    def image(self) -> str:
        """Return the engine image of what has its root on a volume."""
        return self._gates.prepare()

    def find(self, instance: objects.Instance) -> description.Root | None:
        """Return an instance's root file system, if it is on a volume.

        :raises UnsuitableVolume: it is not whole, or its storage hangs
        """
        if not self.has_any(instance):
            return None
        self._volumes.check_root(instance)
        self._gates.prepare()
        record = self._record(instance)
        point = self._point(record)
        source = f'{point}/{rootfiles.ROOT}'
        try:
            if rootfiles.state(point) != rootfiles.State.WHOLE:
                raise ValueError('it is not whole')
            config = description.parse(rootfiles.description(
                point, description.LIMIT))
        except (OSError, ValueError) as error:
            raise _unsuitable(record, 'what it says of how its root file '
                              f'system is run can not be read: {error}'
                              ) from error
        return description.Root(
            source, config, *(
                (rootfiles.read(source, path, _ACCOUNTS) or b'').decode(
                    errors='surrogateescape')
                for path in ('/etc/passwd', '/etc/group')))

    def has_any(self, instance: objects.Instance) -> bool:
        """Whether an instance's root disk is a volume."""
        return self._volumes.root(instance) is not None

    def check(self, container: client.Document) -> None:
        """See that a workload's root volume is there before it starts.

        :param container: inspected
        :raises InstancePowerOnFailure: it is not
        """
        source = layout.source(container)
        if source and mounttable.find(os.path.dirname(source)) is None:
            raise exception.InstancePowerOnFailure(
                reason='the volume that is its root disk is not connected. '
                       'Reboot it hard.')

    def discard(self, uuid: str) -> None:
        """Remove what an interrupted unpacking has left in the engine."""
        self._engine.remove(names.unpacked(uuid))
        self._engine.remove(names.root(uuid))

    def _unpack(self, context: Any, instance: objects.Instance,
                record: records.Record, image_meta: objects.ImageMeta
                ) -> None:
        point = self._point(record)
        reference = self._images.ensure(
            context, instance, self._image(context, record, image_meta))
        LOG.info('Unpacking the image onto volume %s.', record.volume,
                 instance=instance)
        self.discard(instance.uuid)
        with _explained(record, _UNWRITTEN):
            rootfiles.begin(point)
        try:
            self._copy(instance, record, reference, point)
        finally:
            self.discard(instance.uuid)
        with _explained(record, _UNWRITTEN):
            rootfiles.finish(point, description.of_image(
                self._engine.image(reference)))

    def _copy(self, instance: objects.Instance, record: records.Record,
              reference: str, point: str) -> None:
        """Copy a container of the image into one that has the volume.

        Neither ever runs.
        """
        labels = names.labels(instance, names.Role.UNPACKING)
        host = {'NetworkMode': 'none'}
        source, target = (names.unpacked(instance.uuid),
                          names.root(instance.uuid))
        self._engine.create(source, {
            'Image': reference, 'Entrypoint': [gate.PROGRAM],
            'Labels': labels, 'HostConfig': host})
        self._engine.create(target, {
            'Image': names.GATE_IMAGE, 'Labels': labels, 'HostConfig': {
                **host, 'Mounts': [{'Type': 'bind', 'Source': point,
                                    'Target': _VOLUME}]}})
        try:
            # An engine that is not told to stop would hold what is to be
            # removed.
            with contextlib.closing(self._engine.export(source)) as tree:
                self._engine.write_stream(
                    target, f'{_VOLUME}/{rootfiles.ROOT}', tree)
        except errors.EngineUnavailable:
            raise
        except errors.EngineError as error:
            raise _unsuitable(record, 'the image can not be unpacked onto '
                              f'it: {error.message}') from error

    def _image(self, context: Any, record: records.Record,
               image_meta: objects.ImageMeta) -> objects.ImageMeta:
        """Return the image that a volume is to get.

        The volume knows best: Cinder has written that one on it.
        """
        image_id = record.image.get('image_id')
        if image_id is None and image_meta.obj_attr_is_set('id'):
            image_id = image_meta.id
        if image_id is None:
            raise _unsuitable(record, 'it is blank, and was not made from an '
                              'image.')
        return objects.ImageMeta.from_image_ref(
            context, self._image_api, image_id)

    def _record(self, instance: objects.Instance) -> records.Record:
        record = self._volumes.root(instance)
        assert record is not None
        return record

    def _point(self, record: records.Record) -> str:
        return self._points.point(record.instance, record.kind, record.name)


@contextlib.contextmanager
def _explained(record: records.Record, what: str) -> Iterator[None]:
    """Say of a failure which volume it is of."""
    try:
        yield
    except OSError as error:
        # Of one that has no number, the words are all that it has.
        raise _unsuitable(
            record, f'{what}: {error.strerror or error}.') from error


def _unsuitable(record: records.Record, reason: str) -> Exception:
    return errors.UnsuitableVolume(
        volume=record.volume, reason=f'as a root disk {reason}')
