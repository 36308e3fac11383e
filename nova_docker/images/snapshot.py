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

"""From a workload to a Glance image that boots as the workload was."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from concurrent import futures
import contextlib
import functools
import threading
from typing import Any
from typing import Final

from nova.compute import task_states
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova import objects
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import flattened
from nova_docker.images import room
from nova_docker.images import upload
from nova_docker import names

LOG = logging.getLogger(__name__)

#: The role of what is made on the way: it is no workload, and found again.
_ROLE: Final = 'snapshot'


class Snapshot:
    """Commits workloads, and streams the result to Glance.

    The engine freezes the workload while it copies the writable layer, and
    only then: so the files are of one moment, as after a power cut, and the
    upload, which takes most of the time, is not felt. A workload that was
    paused or stopped stays so. The engine thaws it whatever happens.

    What Glance gets is one layer with the whole file system, as a virtual
    machine's snapshot is one disk: what the server deleted is gone, and
    snapshots of snapshots do not pile up layers until the engine has too
    many. It is faster, too: "docker save" writes everything to the host's
    disk before the first byte comes.

    :param engine: where workloads are
    :param image_api: where images go
    """

    def __init__(self, engine: client.Engine, image_api: glance.API) -> None:
        self._engine = engine
        self._image_api = image_api
        #: The engine's names of what is made for uploads that are in work.
        self._in_work: set[str] = set()
        self._looking = threading.Lock()

    def __call__(self, context: nova_context.RequestContext,
                 instance: objects.Instance, image_id: str,
                 update_task_state: Callable[..., None]) -> None:
        """Fill a Glance image, which nova-api has made, with an instance.

        On failure the engine keeps nothing; nova-compute removes the Glance
        image.

        :param update_task_state: tells Nova how far it is
        :raises NoContainer: somebody has removed the workload
        :raises InstanceNotRunning: the instance was deleted meanwhile
        """
        def committed() -> None:
            update_task_state(
                task_state=task_states.IMAGE_UPLOADING,
                expected_state=task_states.IMAGE_PENDING_UPLOAD)

        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        try:
            self.upload(context, instance, image_id, committed)
        except errors.EngineNotFound as error:
            raise self._lost(instance, error) from error

    def _lost(self, instance: objects.Instance,
              error: errors.EngineNotFound) -> Exception:
        """Return what to tell Nova of something that the engine has not.

        Nova takes a server that is not found for one that was deleted, says
        nothing to its user, and leaves it in its task for ever.
        """
        if _is_deleted(instance):
            return exception.InstanceNotRunning(instance_id=instance.uuid)
        try:
            self._engine.container(names.workload(instance.uuid))
        except errors.EngineNotFound:
            return errors.NoContainer()
        return errors.EngineError(error.message)

    def upload(self, context: nova_context.RequestContext,
               instance: objects.Instance, image_id: str,
               committed: Callable[[], None] = lambda: None,
               hashed: bool = False) -> str:
        """Fill a Glance image with an instance, whatever Nova's task is.

        :param committed: called when the workload is free again
        :param hashed: whether who receives it is to know what was sent
        :returns: its SHA-256 in hexadecimal digits, if it was to be hashed
        """
        reference = names.snapshot_reference(image_id)
        still_name = f'nova-snapshot-{image_id}'
        with contextlib.ExitStack() as undo:
            # Before it is made, and until it is gone.
            self._in_work.update((reference, still_name))
            undo.callback(self._in_work.difference_update,
                          (reference, still_name))
            undo.callback(self._discard, self._engine.remove_image, reference)
            size = self._commit(instance, reference)
            committed()
            # It never runs: only a container's file system can be read.
            still = self._engine.create(still_name, {
                'Image': reference, 'Cmd': ['none'],
                'HostConfig': {'NetworkMode': 'none'}})
            undo.callback(self._discard, self._engine.remove, still)
            return _fill(
                upload.Upload(self._image_api, context, image_id,
                              _metadata(instance), hashed),
                functools.partial(flattened.archive, self._engine, still,
                                  self._engine.image(reference)), size)

    def lost(self, reason: str) -> None:
        """Wait until the engine is back."""

    def found(self) -> None:
        """Remove what is left of uploads, without waiting for it.

        An engine that went away did not, and a commit that took longer than
        anybody waited may have ended since.
        """
        threading.Thread(
            target=self._look, name='snapshot-leftovers', daemon=True).start()

    def _look(self) -> None:
        if not self._looking.acquire(blocking=False):
            return  # Somebody is at it.
        try:
            self.discard_leftovers()
        except errors.EngineError as error:
            LOG.warning('What is left of snapshots in the engine is not '
                        'known: %s', error)
        finally:
            self._looking.release()

    def discard_leftovers(self) -> None:
        """Remove what in the engine belongs to no upload in work.

        What is listed before that is looked up was in work by then, if it
        is: so nothing is taken from an upload that begins meanwhile.
        """
        label = f'{names.ROLE}={_ROLE}'
        for container in self._engine.containers([label]):
            if self._in_work.isdisjoint(
                    name.lstrip('/') for name in container['Names']):
                self._discard(self._engine.remove, container['Id'])
        for image in self._engine.images(names.snapshot_reference('*')):
            for reference in image['RepoTags']:
                if reference not in self._in_work:
                    self._discard(self._engine.remove_image, reference)

    def _commit(self, instance: objects.Instance,
                reference: str) -> int | None:
        """Commit a workload; return the room that its files need, if known.

        That is found out meanwhile, so that nobody waits for it.
        """
        workload = names.workload(instance.uuid)
        with futures.ThreadPoolExecutor(1, 'room') as beside:
            found = beside.submit(room.needed, self._engine, workload)
            self._engine.commit(
                workload, reference, pause=True,
                changes=(f'LABEL {names.ROLE}={_ROLE}',))
            return found.result()

    @staticmethod
    def _discard(remove: Callable[[str], None], name: str) -> None:
        try:
            remove(name)
        except errors.EngineError as error:
            LOG.warning('%s is left behind in the engine: %s', name,
                        error.message)


def _is_deleted(instance: objects.Instance) -> bool:
    """Tell whether Nova has deleted a server meanwhile, or is at it."""
    try:
        instance.refresh()
    except exception.InstanceNotFound:
        return True
    return bool(instance.task_state == task_states.DELETING)


def _fill(image: upload.Upload,
          archive: Callable[[int | None], Generator[bytes, None, None]],
          size: int | None) -> str:
    """Upload an archive of an expected size, else of any."""
    try:
        return image.send(archive(size))
    except flattened.Misjudged:
        if size is None:
            raise
        LOG.info('The snapshot is uploaded again, since its size is not what '
                 'was expected.')
        return image.send(archive(None))


def _metadata(instance: objects.Instance) -> dict[str, Any]:
    return {
        'container_format': 'docker',
        'disk_format': 'raw',
        'properties': {
            'image_location': 'snapshot',
            'image_state': 'available',
            'owner_id': instance.project_id,
        },
    }
