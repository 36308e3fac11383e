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

"""Destroy: nothing of an instance remains."""

from __future__ import annotations

import contextlib

from nova.compute import task_states
from nova.network import model

from nova import context as nova_context
from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.console import serial
from nova_docker import errors
from nova_docker.instances import configdrive
from nova_docker.instances import power
from nova_docker.instances import rootdisk
from nova_docker.instances import workload
from nova_docker.network import connection
from nova_docker.volumes import propagate
from nova_docker.volumes import whole


class Destroy:
    """Removes instances; every step can be run again.

    :param network: disconnects them
    :param workloads: removes their containers
    :param disks: lets go of a rescued server's root disk
    :param stops: stops those whose disk stays
    :param drives: removes config drives
    :param points: removes what is mounted into instances
    :param attached: disconnects their volumes
    :param consoles: hangs up on who looks
    """

    def __init__(self, network: connection.Connection,
                 workloads: workload.Workload, disks: rootdisk.RootDisk,
                 stops: power.Power,
                 drives: configdrive.ConfigDrive,
                 points: propagate.Propagation,
                 attached: whole.Volumes,
                 consoles: serial.Serial) -> None:
        self._network = network
        self._workloads = workloads
        self._disks = disks
        self._stops = stops
        self._drives = drives
        self._points = points
        self._volumes = attached
        self._consoles = consoles

    def __call__(self, instance: objects.Instance,
                 network_info: model.NetworkInfo,
                 disks: bool = True) -> None:
        """Remove the instance from this host; it may be gone already.

        :param disks: False to keep the root disk, which is the workload's
            own layer, and the sandbox that it is bound to
        """
        if disks:
            self._remove(instance, network_info)
        elif instance.task_state != task_states.RESIZE_REVERTING:
            self._stops.off(instance)
            self._volumes.discard(instance)
            self._network.unplug(instance, network_info)
        elif self._volumes.has_any(instance):
            # A resize that is reverted here goes on with what it has: see
            # stays_here. But Cinder is about to disconnect the volumes, and
            # connects them again.
            self._stops.off(instance)
            self._volumes.discard(instance)

    def _remove(self, instance: objects.Instance,
                network_info: model.NetworkInfo) -> None:
        errors.take_all(
            lambda: self._disks.unmount(instance),
            lambda: self._discard_lost(instance),
            lambda: self._workloads.discard(instance),
            lambda: self._drives.discard(instance.uuid),
            lambda: self._volumes.remove(instance),
            lambda: self._points.remove(instance.uuid),
            lambda: self._network.remove(instance, network_info),
            # Not before the workload is gone: none is opened after it.
            lambda: self._consoles.close(instance))

    def _discard_lost(self, instance: objects.Instance) -> None:
        # What its processes keep goes with the other volumes, after them.
        with contextlib.suppress(exception.DeviceDetachFailed):
            self._volumes.discard_lost(instance)


def stays_here(context: nova_context.RequestContext,
               instance: objects.Instance) -> bool:
    """Whether a server that Nova is about to destroy goes on here.

    Only one whose resize began and ended on this host, and is reverted: no
    other host has its root disk.
    """
    if instance.task_state != task_states.RESIZE_REVERTING:
        return False
    migration = objects.Migration.get_by_id_and_instance(
        context, instance.migration_context.migration_id, instance.uuid)
    return bool(migration.source_compute == CONF.host)
