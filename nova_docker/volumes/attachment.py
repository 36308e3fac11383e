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

"""One volume of one instance: attached, detached, grown."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import os
from typing import Any

from nova import exception
from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_utils import units

from nova import objects
from nova_docker import errors
from nova_docker.privsep import filesystems
from nova_docker.volumes import connector
from nova_docker.volumes import content
from nova_docker.volumes import ephemeral
from nova_docker.volumes import flags
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import steps

LOG = logging.getLogger(__name__)

#: By so many bytes, or more, Cinder extends a volume.
_STEP = units.Gi

Connection = Mapping[str, Any]


def refuse_disk_name(record: records.Record) -> None:
    """See that a volume is not called as a disk of a flavor is.

    :raises UnsuitableVolume: it is
    """
    if ephemeral.is_name(record.name) and not record.root:
        raise errors.UnsuitableVolume(
            volume=record.volume,
            reason=f"its tag '{record.name}' is what a disk of a flavor is "
                   'called: attach it with another one.')


class Attachments:
    """Attaches volumes at ``/volumes/<tag or device>`` of instances.

    Every step can be taken again, after a crash too: the records say where
    to begin.

    :param acts: the steps
    :param points: where volumes are mounted
    :param kept: the records
    :param tags: returns the tags of an instance's volumes, by volume
    :param ask: returns how a volume may be used
    """

    def __init__(self, acts: steps.Steps, points: propagate.Propagation,
                 kept: records.Records,
                 tags: Callable[[objects.Instance], Mapping[str, str]],
                 ask: Callable[[Any, Connection], flags.Flags]) -> None:
        self._steps = acts
        self._points = points
        self._records = kept
        self._tags = tags
        self._ask = ask

    def attach(self, context: Any, instance: objects.Instance,
               connection: Connection, device: str,
               encryption: Mapping[str, Any] | None = None,
               root: bool = False) -> None:
        """Attach a volume; one that is attached stays so.

        A running workload sees it at once. After a failure nothing is left.

        :param device: Nova's name of it, as ``/dev/vdb``
        :param root: it is the root disk, which is in no directory
        :raises UnsuitableVolume: saying what it holds, or where it can't be
        """
        record = self._record(instance, connection, device, encryption or {},
                              root)
        self._refuse_taken(record)
        with steps.exclusive(record.volume):
            if self._is_attached(record):
                return
            connector.check(connection)
            self._leave_other_place(record)
            record = self._records.save(self._flagged(context, record))
            try:
                self._records.save(self._connected(context, record))
            except Exception:
                self._give_up(record)
                raise

    def add(self, context: Any, instance: objects.Instance,
            connection: Connection, device: str,
            encryption: Mapping[str, Any] | None,
            record: Callable[[objects.Instance], None]) -> None:
        """Attach one volume more; undone if anything fails.

        :param record: told when it is there; if that fails it goes again
        """
        self.attach(context, instance, connection, device, encryption)
        try:
            record(instance)
        except Exception:
            self._take_back(instance, connection)
            raise

    def _take_back(self, instance: objects.Instance,
                   connection: Connection) -> None:
        """Detach what Nova takes for not attached; no failure hides why."""
        try:
            self.detach(instance, connection)
        except Exception:
            LOG.exception('Volume %s stays attached after a failure.',
                          flags.volume_id(connection), instance=instance)

    def detach(self, instance: objects.Instance,
               connection: Connection) -> None:
        """Detach a volume; it may be detached already.

        :raises DeviceDetachFailed: naming the process that uses it
        """
        volume = flags.volume_id(connection)
        with steps.exclusive(volume):
            record = self._records.find(instance.uuid, volume)
            if record is None:
                # That it is connected nobody knows; that it is not, neither.
                if not self._steps.is_elsewhere(volume, instance.uuid):
                    connector.disconnect(connection, {})
                return
            self._steps.refuse_fixed(record)
            self._steps.unmount(record)
            self._forget(record)

    def is_lost(self, record: records.Record) -> bool:
        """Tell whether a volume is connected and does not answer."""
        return self._steps.is_lost(record)

    def discard(self, record: records.Record) -> None:
        """Take a volume away from a workload that is gone, or must do without.

        Can be run again. What still uses it loses it.
        """
        with steps.exclusive(record.volume):
            self._points.unmount(record.instance, record.kind,
                                 record.name, lazy=True)
            self._forget(record, force=True)

    def recover(self, record: records.Record) -> None:
        """End what a nova-compute that was killed has begun."""
        if record.state not in (records.State.ATTACHING,
                                records.State.DETACHING):
            return
        with steps.exclusive(record.volume):
            LOG.warning('Taking back volume %s, which was %s when '
                        'nova-compute ended.', record.volume, record.state,
                        instance_uuid=record.instance)
            if record.state == records.State.ATTACHING:
                self._steps.wait_until_idle(record)
                self._steps.unmount(record)
            self._forget(record)

    def extend(self, context: Any, record: records.Record) -> None:
        """Grow the file system of a volume that Cinder has extended.

        :raises VolumeExtendFailed: with the reason
        """
        connector.extend(record.connection)
        if record.encryption:
            connector.extend_decrypted(context, self._records.link(record),
                                       record.encryption)
        point = self._points.point(record.instance, record.kind, record.name)
        mounted = self._points.find(record.instance, record.kind, record.name)
        if mounted is None or mounted.read_only or record.path is None:
            return
        try:
            filesystems.grow(mounted.fstype, mounted.device, point)
        except (ValueError, processutils.ProcessExecutionError) as error:
            raise exception.VolumeExtendFailed(
                volume_id=record.volume,
                reason=errors.output(error)) from error

    def _record(self, instance: objects.Instance, connection: Connection,
                device: str, encryption: Mapping[str, Any], root: bool
                ) -> records.Record:
        volume = flags.volume_id(connection)
        device = os.path.basename(device)
        tag = self._tags(instance).get(volume, '')
        return records.Record(
            instance.uuid, volume, tag if propagate.is_name(tag) else device,
            device, connection, encryption=encryption, root=root)

    def _refuse_taken(self, record: records.Record) -> None:
        """Refuse a name that is another volume's, or a disk's of a flavor.

        One that has such a name since that was allowed keeps it.
        """
        known = self._records.of_instance(record.instance)
        if any(each.volume != record.volume and each.name == record.name
               for each in known):
            raise errors.UnsuitableVolume(
                volume=record.volume,
                reason=f'another one is at /volumes/{record.name} of the '
                       'server.')
        if record.volume not in (each.volume for each in known):
            refuse_disk_name(record)

    def _is_attached(self, record: records.Record) -> bool:
        known = self._records.find(record.instance, record.volume)
        return (known is not None
                and known.state == records.State.ATTACHED
                and self._points.is_mounted(
                    record.instance, known.kind, known.name))

    def _flagged(self, context: Any, record: records.Record
                 ) -> records.Record:
        """Return it with how it may be used; Cinder is asked once."""
        known = self._records.find(record.instance, record.volume)
        told: records.Record | flags.Flags
        if known is not None and known.state == records.State.ATTACHED:
            told = known
        else:
            told = self._ask(context, record.connection)
        return dataclasses.replace(
            record, read_only=told.read_only, shared=told.shared,
            image=told.image if record.root else {})

    def _leave_other_place(self, record: records.Record) -> None:
        """Unmount what a former attempt has mounted by another name."""
        known = self._records.find(record.instance, record.volume)
        if known is not None and known.name != record.name:
            self._steps.unmount(known)

    def _connected(self, context: Any, record: records.Record
                   ) -> records.Record:
        """Connect and mount; return what is known of it then."""
        record = self._records.save(dataclasses.replace(
            record, found=connector.connect(record.connection)))
        self._steps.refuse_silent(record)
        path = str(record.path)
        if record.encryption:
            path = self._decrypted(context, record, path)
        with steps.device(path) as device:
            self._steps.mount(record, device)
        # It may have been extended while it was attached nowhere.
        self._steps.grow(record, least=_STEP)
        return dataclasses.replace(record, state=records.State.ATTACHED)

    def _decrypted(self, context: Any, record: records.Record, path: str
                   ) -> str:
        if connector.is_luks(record.encryption):
            with steps.device(path) as device:
                content.check_encrypted(device, steps.use(record))
        try:
            return connector.decrypt(context, self._records.link(record),
                                     path, record.encryption)
        except (OSError, processutils.ProcessExecutionError) as error:
            raise errors.UnsuitableVolume(
                volume=record.volume, reason='it can not be decrypted: '
                                             f'{errors.output(error)}'
            ) from error

    def _give_up(self, record: records.Record) -> None:
        try:
            self._points.unmount(record.instance, record.kind, record.name)
            self._forget(self._records.find(record.instance, record.volume)
                         or record)
        except Exception:
            LOG.exception('Volume %s stays connected after a failure.',
                          record.volume, instance_uuid=record.instance)

    def _forget(self, record: records.Record, force: bool = False) -> None:
        """Disconnect, and leave no record.

        :param force: also if it is still mounted somewhere
        """
        if record.other:
            self._steps.disconnect_other(record)
        if not self._steps.is_elsewhere(record.volume, record.instance):
            if self._steps.is_lost(record):
                self._steps.drop(self._detaching(record))
            else:
                self._steps.release(record, force)
                self._steps.disconnect(self._detaching(record))
        self._records.remove(record)

    def _detaching(self, record: records.Record) -> records.Record:
        return self._records.save(dataclasses.replace(
            record, state=records.State.DETACHING))
