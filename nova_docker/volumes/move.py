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

"""A volume's move to other storage, while its server runs.

Cinder asks for it when an attached volume gets another type or migrates.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import errno
import functools
from typing import Any

from nova import exception
from oslo_log import log as logging
import tenacity

from nova import objects
from nova_docker import errors
from nova_docker.privsep import blocks
from nova_docker.privsep import holders
from nova_docker.privsep import mounts
from nova_docker.privsep import mounttable
from nova_docker.volumes import connector
from nova_docker.volumes import content
from nova_docker.volumes import flags
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import steps

LOG = logging.getLogger(__name__)

Connection = Mapping[str, Any]


class Move:
    """Copies a volume to another one, which takes its place.

    The file system is read-only while it is copied: a write fails then, and
    is not lost. Nobody may have a file open on it, since that would be one
    of the old place for ever. Until every byte is on the new place, and
    nobody uses the old one, the volume is where it was, whatever fails.

    :param acts: the steps
    :param points: where volumes are mounted
    :param kept: the records
    """

    def __init__(self, acts: steps.Steps, points: propagate.Propagation,
                 kept: records.Records) -> None:
        self._steps = acts
        self._points = points
        self._records = kept

    def __call__(self, instance: objects.Instance, old: Connection,
                 new: Connection) -> None:
        """Move a volume from one connection to another.

        The volume keeps its id: Cinder gives the new one the old one's in
        the end.

        :raises InvalidVolume: it can not be moved at all
        :raises DeviceDetachFailed: naming the process that uses it
        """
        volume = flags.volume_id(old)
        with steps.exclusive(volume):
            record = self._movable(instance, volume, new)
            record = self._records.save(dataclasses.replace(
                record, state=records.State.MOVING, other={
                    'connection': {**new, 'serial': volume}, 'found': {}}))
            try:
                record = self._connected(record)
                with steps.device(record.other['found']['path']) as device:
                    is_larger = self._copy(record, device)
                    self._steps.unmount(record)
                    record = self._replace(record, device)
            except Exception:
                self._give_up(record)
                raise
            self._finish(record, is_larger)

    def recover(self, record: records.Record) -> None:
        """End what a nova-compute that was killed has begun."""
        if record.state not in (records.State.MOVING, records.State.MOVED):
            return
        with steps.exclusive(record.volume):
            LOG.warning('Volume %s was %s when nova-compute ended.',
                        record.volume, record.state,
                        instance_uuid=record.instance)
            self._settle(record)

    def _movable(self, instance: objects.Instance, volume: str,
                 new: Connection) -> records.Record:
        record = self._records.find(instance.uuid, volume)
        mounted = self._mounted(record) if record else None
        if record is not None and record.root:
            raise _refusal(volume, 'it is the root disk of a server, which '
                           'uses it: move it while no server has it.')
        if record is None or mounted is None:
            raise _refusal(volume, 'the server does not have it mounted.')
        if record.state != records.State.ATTACHED:
            raise _refusal(volume, f'it is {record.state}.')
        if record.encryption or new['data'].get('encrypted'):
            raise _refusal(volume, 'it is encrypted. Detach it first.')
        if (mounted.fstype in content.CLUSTERED
                or self._steps.is_elsewhere(volume, record.instance)):
            raise _refusal(volume, 'other servers may use it.')
        if mounted.fstype == 'btrfs':
            # https://btrfs.readthedocs.io/en/latest/Volume-management.html
            raise _refusal(volume, 'the kernel can not tell a Btrfs file '
                                   'system from its copy. Detach it first.')
        self._steps.refuse_fixed(record)
        connector.check(new)
        return record

    def _connected(self, record: records.Record) -> records.Record:
        connection = record.other['connection']
        return self._records.save(dataclasses.replace(record, other={
            'connection': connection,
            'found': connector.connect(connection)}))

    def _copy(self, record: records.Record, device: str) -> bool:
        """Copy what is mounted; return whether there is room beyond it."""
        try:
            self._steps.patiently(self._try_to_quieten, record)
        except tenacity.RetryError as error:
            raise self._steps.busy(record) from error
        mounted = self._mounted(record)
        assert mounted is not None
        try:
            return blocks.copy(mounted.device, device)
        except (OSError, ValueError) as error:
            raise _refusal(record.volume,
                           f'it can not be copied: {error}') from error

    def _try_to_quieten(self, record: records.Record) -> bool:
        """Return False if somebody uses it; nobody can write to it if not."""
        point = self._point(record)
        if holders.holders(point):
            return False
        try:
            mounts.set_read_only(point, True)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def _replace(self, record: records.Record, device: str
                 ) -> records.Record:
        """Mount the new place where the old one was.

        From the moment on when it can be written to, it is the one.
        """
        moved = self._records.save(_exchanged(record, records.State.MOVED))
        try:
            self._steps.mount(moved, device)
        except Exception:
            self._records.save(record)
            raise
        return moved

    def _finish(self, record: records.Record, is_larger: bool) -> None:
        """Leave the old place; no failure can undo the move any more."""
        if is_larger:
            self._steps.grow(record)
        try:
            self._settle(record)
        except Exception:
            LOG.exception('Volume %s has moved, and the place where it was '
                          'stays connected until nova-compute starts again.',
                          record.volume, instance_uuid=record.instance)

    def _give_up(self, record: records.Record) -> None:
        try:
            self._settle(self._records.find(record.instance, record.volume)
                         or record)
        except Exception:
            LOG.exception('Volume %s is still where it was, but a failed '
                          'move was not undone.', record.volume,
                          instance_uuid=record.instance)

    def _settle(self, record: records.Record) -> None:
        """Have it mounted where it is, and let go of the other place."""
        errors.take_all(
            functools.partial(self._remount, record),
            functools.partial(self._steps.disconnect_other, record))
        self._records.save(dataclasses.replace(
            record, state=records.State.ATTACHED, other={}))

    def _remount(self, record: records.Record) -> None:
        if self._mounted(record) is not None:
            if not record.read_only:
                mounts.set_read_only(self._point(record), False)
        # It is not after a reboot: then it is attached when the server
        # starts.
        elif record.path and blocks.responds(record.path):
            with steps.device(record.path) as device:
                self._steps.mount(record, device)

    def _mounted(self, record: records.Record) -> mounttable.Mount | None:
        return self._points.find(record.instance, record.kind, record.name)

    def _point(self, record: records.Record) -> str:
        return self._points.point(record.instance, record.kind, record.name)


def _exchanged(record: records.Record, state: records.State
               ) -> records.Record:
    """Return the record of a volume that is at the other place."""
    return dataclasses.replace(record, **record.other, state=state, other={
        'connection': record.connection, 'found': record.found})


def _refusal(volume: str, reason: str) -> Exception:
    return exception.InvalidVolume(
        reason=f'volume {volume} can not be moved while it is attached: '
               f'{reason}')
