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

"""Rebuild: a new root disk from an image; all else stays."""

from __future__ import annotations

from typing import Any

from nova.compute import task_states
from nova.network import model
from oslo_log import log as logging

from nova import objects
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import power
from nova_docker.instances import rootdisk
from nova_docker.instances import spawn
from nova_docker.instances import workload
from nova_docker import names
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)


class Rebuild:
    """Rebuilds servers.

    :param images: brings the image into the engine
    :param workloads: makes the new workload
    :param starts: stops the old one and starts the new one
    :param disks: lets go of the old disk of a server that was rescued
    :param build: builds a server from nothing, as an evacuation does
    """

    def __init__(self, images: store.Store, workloads: workload.Workload,
                 starts: power.Power, disks: rootdisk.RootDisk,
                 build: spawn.Spawn) -> None:
        self._images = images
        self._workloads = workloads
        self._power = starts
        self._disks = disks
        self._build = build

    def __call__(self, context: Any, instance: objects.Instance,
                 image_meta: objects.ImageMeta,
                 details: configdrive.Details, evacuate: bool,
                 reimage: bool = False) -> None:
        """Run the image in the server's place; leave its network as it is.

        The old root disk goes when the new one runs, and no sooner: after a
        failure the old workload runs as before.

        :param details: its ports and volumes, and what the user gives with it
        :param evacuate: the server is not here: its host is lost
        :param reimage: a root disk that is a volume gets the image, too;
            Nova says so of every server
        :raises BuildAbortException: as a spawn does
        :raises NotImplementedError: to be reimaged the volume has to leave,
            so Nova destroys the server and spawns it again
        """
        # Of a server that an earlier reimaging has left without a container,
        # Nova alone knows this.
        if reimage and whole.has_root(details.block_devices):
            raise NotImplementedError
        instance.task_state = task_states.REBUILD_SPAWNING
        instance.save(expected_task_state=[task_states.REBUILDING])
        if evacuate or not self._workloads.is_here(instance):
            self._build(context, instance, image_meta, details, True)
        else:
            # Nova takes whatever is not found for the server itself, as one
            # that was deleted meanwhile, and leaves it in its task for ever.
            with spawn.aborting(instance):
                self._replace(context, instance, image_meta, details)

    def _replace(self, context: Any, instance: objects.Instance,
                 image_meta: objects.ImageMeta,
                 details: configdrive.Details) -> None:
        self._workloads.check(instance)
        root = self._workloads.root(instance)
        # What is on a volume stays.
        image = (names.GATE_IMAGE if root else
                 self._images.ensure(context, instance, image_meta))
        was_running = self._power.is_running(instance)
        self._power.off(instance)
        self._workloads.set_aside(instance)
        try:
            self._workloads.create(instance, image, details, root=root)
            self._power.on(instance, details.network_info)
        except Exception:
            self._give_up(instance, details.network_info, was_running)
            raise
        self._disks.unmount(instance)
        self._workloads.discard_aside(instance)

    def _give_up(self, instance: objects.Instance,
                 network_info: model.NetworkInfo, start: bool) -> None:
        try:
            self._workloads.bring_back(instance)
            if start:
                self._power.on(instance, network_info)
        except Exception:
            LOG.exception('The server could not be brought back after a '
                          'failed rebuild.', instance=instance)
