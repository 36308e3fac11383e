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

"""All volumes of an instance together, through its life."""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any

from nova import exception
from nova.volume import cinder
from os_brick import encryptors
from oslo_log import log as logging

from nova import objects
from nova.virt import driver
from nova_docker import errors
from nova_docker.volumes import attachment
from nova_docker.volumes import ephemeral
from nova_docker.volumes import flags
from nova_docker.volumes import move
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import steps

LOG = logging.getLogger(__name__)

BlockDevices = Mapping[str, Any]


class Volumes:
    """Sees that instances have their volumes, and leave none behind.

    :param attachments: attaches and detaches one
    :param moves: moves one to other storage
    :param kept: the records of all
    :param points: where they are mounted
    :param local: the disks of this host that are beside them
    """

    def __init__(self, attachments: attachment.Attachments, moves: move.Move,
                 kept: records.Records, points: propagate.Propagation,
                 local: ephemeral.Ephemeral) -> None:
        self._attachments = attachments
        self._moves = moves
        self._records = kept
        self._points = points
        self._local = local

    def prepare(self) -> None:
        """Have a place for them; end what was left half done.

        :raises InvalidConfiguration: there can be no such place
        """
        self._points.prepare()
        self._records.tidy()
        for record in self._records.all():
            try:
                self._attachments.recover(record)
                self._moves.recover(record)
            except Exception:
                LOG.exception('Volume %s could not be taken back.',
                              record.volume, instance_uuid=record.instance)

    def ensure(self, context: Any, instance: objects.Instance,
               devices: BlockDevices | None = None) -> None:
        """See that an instance has every volume; those it has stay.

        :param devices: Nova's account of them; by default what this host
            knows
        :raises UnsuitableVolume: its root disk's storage does not answer
        """
        self._local.ensure(instance, devices)
        self._attach_all(context, instance, devices)
        self.check_root(instance)

    def check_root(self, instance: objects.Instance) -> None:
        """See that an instance's root disk is not on storage that hangs.

        The engine, too, would wait for it for ever.

        :raises UnsuitableVolume: it is a volume that does not answer
        """
        record = self.root(instance)
        if record is not None and self._attachments.is_lost(record):
            raise steps.silent(record)

    def _attach_all(self, context: Any, instance: objects.Instance,
                    devices: BlockDevices | None) -> None:
        if devices is None:
            for record in self._records.of_instance(instance.uuid):
                self._attachments.attach(
                    context, instance, record.connection, record.device,
                    record.encryption, record.root)
            return
        for each in driver.block_device_info_get_mapping(devices):
            connection = each['connection_info']
            self._attachments.attach(
                context, instance, connection, each['mount_device'],
                _encryption(context, connection),
                each.get('boot_index') == 0)

    def root(self, instance: objects.Instance) -> records.Record | None:
        """Return the volume that is an instance's root disk, if one is."""
        return self._records.root(instance.uuid)

    def discard(self, instance: objects.Instance) -> None:
        """Take every volume away; its workload does not run.

        Can be run again.
        """
        errors.take_all(*(
            functools.partial(self._attachments.discard, record)
            for record in self._records.of_instance(instance.uuid)))

    def discard_others(self, instance: objects.Instance,
                       devices: BlockDevices | None) -> None:
        """Take away what Nova has forgotten; the workload does not run.

        When Nova reboots a server it forgets those of its volumes of which
        Cinder has no attachment any more. One that can not be taken away
        is no reason to leave the server off.

        :param devices: Nova's account of the volumes that it has; without
            one, all of them stay
        """
        listed = (devices or {}).get('block_device_mapping')
        if listed is None:
            return
        kept = {flags.volume_id(each['connection_info']) for each in listed}
        for record in self._records.of_instance(instance.uuid):
            if record.root or record.volume in kept:
                continue
            LOG.warning('Taking volume %s away, which Nova and Cinder do not '
                        'show as attached any more.', record.volume,
                        instance=instance)
            try:
                self._attachments.discard(record)
            except Exception:
                LOG.exception('Volume %s stays connected.', record.volume,
                              instance=instance)

    def discard_lost(self, instance: objects.Instance) -> None:
        """Take away the volumes whose storage does not answer.

        What waits for them can't be ended before.
        """
        errors.take_all(*(
            functools.partial(self._attachments.discard, record)
            for record in self._records.of_instance(instance.uuid)
            if self._attachments.is_lost(record)))

    def remove(self, instance: objects.Instance) -> None:
        """Take every volume away, and remove the ephemeral disks.

        Can be run again.
        """
        errors.take_all(lambda: self.discard(instance),
                        lambda: self._local.discard(instance))

    def flush(self, instance: objects.Instance) -> None:
        """Write to their storage what an instance has written to volumes.

        :raises OSError: one can't be written to any more
        """
        for record in self._records.of_instance(instance.uuid):
            self._points.flush(record.instance, record.kind, record.name)

    def has_any(self, instance: objects.Instance) -> bool:
        """Whether an instance has a volume on this host."""
        return bool(self._records.of_instance(instance.uuid))

    def refuse_disk_names(self, instance: objects.Instance) -> None:
        """See that each volume would be attached once more.

        :raises UnsuitableVolume: its name is not allowed any more
        """
        for record in self._records.of_instance(instance.uuid):
            attachment.refuse_disk_name(record)

    def extend(self, context: Any, instance: objects.Instance,
               connection: attachment.Connection) -> None:
        """Grow the file system of a volume that Cinder has extended."""
        volume = flags.volume_id(connection)
        record = self._records.find(instance.uuid, volume)
        if record is None:
            raise exception.VolumeNotFound(volume_id=volume)
        self._attachments.extend(context, record)


def has_root(devices: BlockDevices | None) -> bool:
    """Whether a server's root disk is a volume."""
    return any(each.get('boot_index') == 0
               for each in driver.block_device_info_get_mapping(devices))


def _encryption(context: Any, connection: attachment.Connection
                ) -> Mapping[str, Any]:
    if not connection['data'].get('encrypted'):
        return {}
    found: Mapping[str, Any] = encryptors.get_encryption_metadata(
        context, cinder.API(), connection['serial'], connection)
    return found
