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
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import errno
import os
import stat
from typing import Any

from nova import exception
from oslo_concurrency import lockutils
from oslo_concurrency import processutils
from oslo_log import log as logging
import tenacity

from nova import objects
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import holders
from nova_docker.volumes import connector
from nova_docker.volumes import content
from nova_docker.volumes import flags
from nova_docker.volumes import propagate
from nova_docker.volumes import records

LOG = logging.getLogger(__name__)

Connection = Mapping[str, Any]

#: Seconds between two looks at a volume that is in use.
_PAUSE = 0.2


class Attachments:
    """Attaches volumes at ``/volumes/<tag or device>`` of instances.

    Every step can be taken again, after a crash too: the records say where
    to begin.

    :param engine: says whether a workload runs
    :param points: where volumes are mounted
    :param kept: the records
    :param tags: returns the tags of an instance's volumes, by volume
    :param ask: returns how a volume may be used
    """

    def __init__(self, engine: client.Engine, points: propagate.Propagation,
                 kept: records.Records,
                 tags: Callable[[objects.Instance], Mapping[str, str]],
                 ask: Callable[[Any, Connection], flags.Flags]) -> None:
        self._engine = engine
        self._points = points
        self._records = kept
        self._tags = tags
        self._ask = ask

    def attach(self, context: Any, instance: objects.Instance,
               connection: Connection, device: str,
               encryption: Mapping[str, Any] | None = None) -> None:
        """Attach a volume; one that is attached stays so.

        A running workload sees it at once. After a failure nothing is left.

        :param device: Nova's name of it, as ``/dev/vdb``
        :raises UnsuitableVolume: saying what it holds, or where it can't be
        """
        record = self._record(instance, connection, device, encryption or {})
        with _exclusive(record.volume):
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

    def detach(self, instance: objects.Instance,
               connection: Connection) -> None:
        """Detach a volume; it may be detached already.

        :raises DeviceDetachFailed: naming the process that uses it
        """
        volume = flags.volume_id(connection)
        with _exclusive(volume):
            record = self._records.find(instance.uuid, volume)
            if record is None:
                # That it is connected nobody knows; that it is not, neither.
                connector.disconnect(connection, {})
                return
            self._refuse_fixed(record)
            self._unmount(record)
            self._forget(record)

    def discard(self, record: records.Record) -> None:
        """Take a volume away from a workload that is gone, or must do without.

        Can be run again. What still uses it loses it.
        """
        with _exclusive(record.volume):
            self._points.unmount(record.instance, propagate.Kind.VOLUMES,
                                 record.name, lazy=True)
            self._forget(record, force=True)

    def recover(self, record: records.Record) -> None:
        """End what a nova-compute that was killed has begun."""
        if record.state == records.State.ATTACHED:
            return
        with _exclusive(record.volume):
            LOG.warning('Taking back volume %s, which was %s when '
                        'nova-compute ended.', record.volume, record.state,
                        instance_uuid=record.instance)
            if record.state == records.State.ATTACHING:
                self._unmount(record)
            self._forget(record)

    def extend(self, context: Any, record: records.Record) -> None:
        """Grow the file system of a volume that Cinder has extended.

        :raises VolumeExtendFailed: with the reason
        """
        connector.extend(record.connection)
        if record.encryption:
            connector.extend_decrypted(context, self._records.link(record),
                                       record.encryption)
        point = self._points.point(record.instance, propagate.Kind.VOLUMES,
                                   record.name)
        mounted = self._points.find(record.instance, propagate.Kind.VOLUMES,
                                    record.name)
        if mounted is None or mounted.read_only or record.path is None:
            return
        try:
            blocks.grow(mounted.fstype, mounted.source, point)
        except (ValueError, processutils.ProcessExecutionError) as error:
            raise exception.VolumeExtendFailed(
                volume_id=record.volume,
                reason=errors.output(error)) from error

    def _record(self, instance: objects.Instance, connection: Connection,
                device: str, encryption: Mapping[str, Any]
                ) -> records.Record:
        volume = flags.volume_id(connection)
        device = os.path.basename(device)
        tag = self._tags(instance).get(volume, '')
        name = tag if propagate.is_name(tag) else device
        for other in self._records.of_instance(instance.uuid):
            if other.volume != volume and name == other.name:
                raise errors.UnsuitableVolume(
                    volume=volume, reason=f'another one is at /volumes/{name} '
                                          'of the server.')
        return records.Record(instance.uuid, volume, name, device,
                              connection, encryption=encryption)

    def _is_attached(self, record: records.Record) -> bool:
        known = self._records.find(record.instance, record.volume)
        return (known is not None
                and known.state == records.State.ATTACHED
                and self._points.is_mounted(
                    record.instance, propagate.Kind.VOLUMES, known.name))

    def _flagged(self, context: Any, record: records.Record
                 ) -> records.Record:
        """Return it with how it may be used; Cinder is asked once."""
        known = self._records.find(record.instance, record.volume)
        if known is None or known.state != records.State.ATTACHED:
            known = self._ask(context, record.connection)
        return dataclasses.replace(record, read_only=known.read_only,
                                   shared=known.shared)

    def _leave_other_place(self, record: records.Record) -> None:
        """Unmount what a former attempt has mounted by another name."""
        known = self._records.find(record.instance, record.volume)
        if known is not None and known.name != record.name:
            self._unmount(known)

    def _connected(self, context: Any, record: records.Record
                   ) -> records.Record:
        """Connect and mount; return what is known of it then."""
        record = self._records.save(dataclasses.replace(
            record, found=connector.connect(record.connection)))
        path = str(record.path)
        if record.encryption:
            path = connector.decrypt(context, self._records.link(record),
                                     path, record.encryption)
        with _device(path) as device:
            self._mount(record, device)
        return dataclasses.replace(record, state=records.State.ATTACHED)

    def _mount(self, record: records.Record, device: str) -> None:
        use = content.Use(
            record.volume, read_only=record.read_only, shared=record.shared)
        fstype = content.prepare(device, use)
        try:
            self._points.mount(
                record.instance, propagate.Kind.VOLUMES, record.name, fstype,
                device, content.mount_options(fstype, use), restricted=False)
        except processutils.ProcessExecutionError as error:
            raise errors.UnsuitableVolume(
                volume=record.volume,
                reason=f'its {fstype} file system can not be mounted: '
                       f'{errors.output(error)}') from error

    def _give_up(self, record: records.Record) -> None:
        try:
            self._points.unmount(record.instance, propagate.Kind.VOLUMES,
                                 record.name)
            self._forget(self._records.find(record.instance, record.volume)
                         or record)
        except Exception:
            LOG.exception('Volume %s stays connected after a failure.',
                          record.volume, instance_uuid=record.instance)

    def _refuse_fixed(self, record: records.Record) -> None:
        """Refuse what a container has mounted at a place of its own.

        The engine makes such a mount when the container starts, and keeps it
        until it ends.
        """
        point = self._points.point(record.instance, propagate.Kind.VOLUMES,
                                   record.name)
        try:
            found = self._engine.container(names.workload(record.instance))
        except errors.EngineNotFound:
            return
        for mount in found['Mounts']:
            if found['State']['Running'] and mount.get('Source') == point:
                raise _in_use(record, f"it is at {mount['Destination']} of "
                                      'the running server: stop that first.')

    def _unmount(self, record: records.Record) -> None:
        """Unmount when nobody uses it any more.

        :raises DeviceDetachFailed: somebody still does, after a time-out
        """
        try:
            self._patiently(self._try_to_unmount, record)
        except tenacity.RetryError as error:
            raise self._busy(record) from error

    def _try_to_unmount(self, record: records.Record) -> bool:
        """Return False if somebody uses it."""
        try:
            self._points.unmount(record.instance, propagate.Kind.VOLUMES,
                                 record.name)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            LOG.warning('The storage of volume %s is gone: %s',
                        record.volume, error, instance_uuid=record.instance)
            self._points.unmount(record.instance, propagate.Kind.VOLUMES,
                                 record.name, lazy=True)
        return True

    @staticmethod
    def _patiently(attempt: Callable[[records.Record], bool],
                   record: records.Record) -> None:
        """Try until it returns True.

        :raises RetryError: it did not in the time that an option gives
        """
        tenacity.Retrying(
            wait=tenacity.wait_fixed(_PAUSE),
            stop=tenacity.stop_after_delay(CONF.docker.volume_detach_timeout),
            retry=tenacity.retry_if_result(lambda done: not done),
        )(attempt, record)

    def _busy(self, record: records.Record) -> Exception:
        found = holders.holders(self._points.point(
            record.instance, propagate.Kind.VOLUMES, record.name))
        users = ', '.join(f'{name} (pid {pid})' for pid, name in found[:3])
        return _in_use(record, f'a process has a file open on it: {users}.'
                       if users else 'it is in use.')

    def _forget(self, record: records.Record, force: bool = False) -> None:
        """Disconnect, and leave no record.

        :param force: also if it is still mounted somewhere
        """
        if not self._is_elsewhere(record):
            self._release(record, force)
            self._disconnect(self._records.save(dataclasses.replace(
                record, state=records.State.DETACHING)))
        self._records.remove(record)

    def _release(self, record: records.Record, force: bool) -> None:
        """Wait until the last of its mounts is gone.

        A container that ends takes its own with it, but not at once.
        """
        if record.encryption:
            connector.close(self._records.link(record), record.encryption)
        if record.path is None:
            return
        if _is_file(record.path):
            blocks.detach_file(os.path.realpath(record.path))
            return
        try:
            self._patiently(lambda each: blocks.is_free(_real(each)), record)
        except tenacity.RetryError as error:
            busy = _in_use(record, 'it is still mounted on this host, by '
                                   'none of the processes of the server.')
            if not force:
                raise busy from error
            LOG.warning('%s', busy, instance_uuid=record.instance)

    def _disconnect(self, record: records.Record) -> None:
        try:
            connector.disconnect(record.connection, record.found)
        except Exception as error:
            if record.path is None or blocks.responds(_real(record)):
                raise
            LOG.warning('The storage of volume %s does not answer: %s',
                        record.volume, error, instance_uuid=record.instance)
            connector.disconnect(record.connection, record.found, force=True)

    def _is_elsewhere(self, record: records.Record) -> bool:
        """Tell whether another instance of this host has the volume."""
        return any(each.volume == record.volume
                   and each.instance != record.instance
                   for each in self._records.all())


def _exclusive(volume: str) -> Any:
    return lockutils.lock(f'nova-docker-volume-{volume}')


def _in_use(record: records.Record, reason: str) -> Exception:
    return exception.DeviceDetachFailed(
        device=f'/volumes/{record.name}', reason=reason)


def _real(record: records.Record) -> str:
    return os.path.realpath(str(record.path))


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _device(path: str) -> Iterator[str]:
    """Have a block device of what is one, or a file on a share.

    What is mounted from it inside keeps it.
    """
    if not _is_file(path):
        yield os.path.realpath(path)
        return
    try:
        yield blocks.attach_file(os.path.realpath(path))
    finally:
        blocks.detach_file(os.path.realpath(path))
