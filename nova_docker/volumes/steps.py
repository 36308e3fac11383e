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

"""The steps of which attaching, detaching and moving a volume are made."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
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

from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import filesystems
from nova_docker.privsep import holders
from nova_docker.privsep import mounts
from nova_docker.volumes import connector
from nova_docker.volumes import content
from nova_docker.volumes import propagate
from nova_docker.volumes import records

LOG = logging.getLogger(__name__)

#: Seconds between two looks at a volume that is in use.
_PAUSE = 0.2
#: Seconds for those to end who wait for storage that is gone: each of their
#: requests has to fail, and the journal's after them.
_LOST = 60


class Steps:
    """Takes single steps; who calls keeps the records.

    :param engine: says whether a workload runs
    :param points: where volumes are mounted
    :param kept: the records
    """

    def __init__(self, engine: client.Engine, points: propagate.Propagation,
                 kept: records.Records) -> None:
        self._engine = engine
        self._points = points
        self._records = kept

    def mount(self, record: records.Record, device: str) -> None:
        """Mount a volume; a blank one gets a file system.

        :raises UnsuitableVolume: saying what it holds
        """
        self._wait_until_idle(record, device)
        used = use(record)
        fstype = content.prepare(device, used)
        try:
            self._points.mount(
                record.instance, record.kind, record.name, fstype,
                device, content.mount_options(fstype, used), restricted=False)
        except processutils.ProcessExecutionError as error:
            # Where this host has it is nobody's affair.
            point = self._points.point(record.instance, record.kind,
                                       record.name)
            reason = errors.output(error).removeprefix(f'mount: {point}: ')
            raise errors.UnsuitableVolume(
                volume=record.volume,
                reason=f'its {fstype} file system can not be mounted: '
                       f'{reason}') from error

    def grow(self, record: records.Record, least: int = 1) -> None:
        """Give a mounted file system the room that its device has beyond it.

        A failure is in the log: it is as usable as before.

        :param least: bytes of room for which that is done
        """
        mounted = self._points.find(record.instance, record.kind, record.name)
        if mounted is None or mounted.read_only:
            return
        it = (mounted.fstype, mounted.device, mounted.point)
        try:
            if filesystems.room(*it) >= least:
                filesystems.grow(*it)
        except (OSError, ValueError,
                processutils.ProcessExecutionError) as error:
            LOG.warning('The file system of volume %s does not grow: %s',
                        record.volume, errors.output(error),
                        instance_uuid=record.instance)

    @staticmethod
    def refuse_silent(record: records.Record) -> None:
        """Refuse a file whose share is mounted here, and does not answer.

        Who looks at it waits for ever. Of devices os-brick sees to that.

        :raises UnsuitableVolume: if it is one
        """
        path = str(record.path)
        if not path.startswith('/dev/') and not blocks.responds(path):
            raise silent(record)

    def wait_until_idle(self, record: records.Record) -> None:
        """Wait until what a killed nova-compute has begun has ended.

        :raises UnsuitableVolume: it has not, after a time-out
        """
        path = (self._records.link(record) if record.encryption
                else record.path)
        if path and blocks.responds(path):
            with device(path) as found:
                self._wait_until_idle(record, found)

    def _wait_until_idle(self, record: records.Record, device: str) -> None:
        try:
            self.patiently(lambda _each: blocks.is_idle(device), record)
        except tenacity.RetryError as error:
            raise errors.UnsuitableVolume(
                volume=record.volume,
                reason='something is still done with it that was begun '
                       'before nova-compute was started.') from error

    def refuse_fixed(self, record: records.Record) -> None:
        """Refuse what a container has mounted at a place of its own.

        The engine makes such a mount when the container starts, and keeps it
        until it ends.
        """
        point = self._points.point(record.instance, record.kind, record.name)
        try:
            found = self._engine.container(names.workload(record.instance))
        except errors.EngineNotFound:
            return
        for mount in found['Mounts']:
            if found['State']['Running'] and mount.get('Source') == point:
                raise in_use(record, f"it is at {mount['Destination']} of "
                                     'the running server: stop that first.')

    def unmount(self, record: records.Record) -> None:
        """Unmount when nobody uses it any more, or its storage is gone.

        :raises DeviceDetachFailed: somebody still does, after a time-out; or
            its storage does not answer, and may do so again
        """
        try:
            self.patiently(self._try_to_unmount, record)
        except tenacity.RetryError as error:
            raise self.busy(record) from error

    def _try_to_unmount(self, record: records.Record) -> bool:
        """Return False if somebody uses it."""
        try:
            self._points.unmount(record.instance, record.kind, record.name)
        except TimeoutError as error:
            raise in_use(record, 'its storage does not answer.') from error
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            LOG.warning('The storage of volume %s is gone: %s',
                        record.volume, error, instance_uuid=record.instance)
            self._points.unmount(record.instance, record.kind,
                                 record.name, lazy=True)
        return True

    @staticmethod
    def patiently(attempt: Callable[[records.Record], bool],
                  record: records.Record, seconds: int | None = None) -> None:
        """Try until it returns True.

        :param seconds: by default the time that an option gives
        :raises RetryError: it did not
        """
        if seconds is None:
            seconds = CONF.docker.volume_detach_timeout
        tenacity.Retrying(
            wait=tenacity.wait_fixed(_PAUSE),
            stop=tenacity.stop_after_delay(seconds),
            retry=tenacity.retry_if_result(lambda done: not done),
        )(attempt, record)

    def busy(self, record: records.Record) -> Exception:
        """Return what says who uses a volume."""
        found = holders.holders(self._points.point(
            record.instance, record.kind, record.name))
        users = ', '.join(f'{name} (pid {pid})' for pid, name in found[:3])
        return in_use(record, f'a process has a file open on it: {users}.'
                      if users else 'it is in use.')

    def release(self, record: records.Record, force: bool) -> None:
        """Wait until the last of its mounts is gone.

        A container that ends takes its own with it, but not at once.
        """
        if record.encryption:
            connector.close(self._records.link(record), record.encryption)
        if record.path is None:
            return
        if _is_file(record.path):
            blocks.detach_file(_real(record.path))
            return
        try:
            self.patiently(
                lambda each: blocks.is_free(_real(str(each.path))), record)
        except tenacity.RetryError as error:
            busy = in_use(record, 'it is still mounted on this host, by '
                                  'none of the processes of the server.')
            if not force:
                raise busy from error
            LOG.warning('%s', busy, instance_uuid=record.instance)

    def disconnect(self, record: records.Record) -> None:
        """Disconnect a volume, by force if its storage is gone."""
        try:
            connector.disconnect(record.connection, record.found)
        except Exception as error:
            if record.path is None or blocks.responds(record.path):
                raise
            LOG.warning('The storage of volume %s does not answer: %s',
                        record.volume, error, instance_uuid=record.instance)
            connector.disconnect(record.connection, record.found, force=True)

    @staticmethod
    def is_lost(record: records.Record) -> bool:
        """Tell whether a volume is connected and does not answer."""
        return record.path is not None and not blocks.responds(record.path)

    def drop(self, record: records.Record) -> None:
        """Let go of a volume that does not answer, whoever uses it.

        It is disconnected first: what waits for it ends with an error then,
        and keeps nothing else any more. A share can't be; who waits for that
        gets an error if it has none but this volume.

        :raises DeviceDetachFailed: it is encrypted, and its decrypted device
            stays. The kernel does not remove that when its last user ends,
            so this has to be tried again.
        """
        LOG.warning('The storage of volume %s does not answer. What is not '
                    'written to it by now is lost.', record.volume,
                    instance_uuid=record.instance)
        connector.disconnect(record.connection, record.found, force=True)
        try:
            self.patiently(self._try_to_drop, record, _LOST)
        except tenacity.RetryError as error:
            link = self._records.link(record)
            if record.encryption and connector.is_open(link):
                raise in_use(record, 'its storage does not answer, and a '
                                     'process uses it.') from error
            LOG.warning('The loop device of %s, for volume %s, stays until '
                        'nobody uses it.', record.path, record.volume,
                        instance_uuid=record.instance)

    def _try_to_drop(self, record: records.Record) -> bool:
        """Return False as long as somebody waits for it."""
        path = str(record.path)
        file = _real(path)
        # Another may have come since the last time.
        alone = not self._records.has_neighbour(record)
        if alone and connector.is_on_share(path):
            alone = mounts.fail(os.path.dirname(file))
        with contextlib.suppress(processutils.ProcessExecutionError):
            if record.encryption:
                connector.close(self._records.link(record), record.encryption)
            blocks.detach_file(file)
            return not (alone and blocks.is_attached(file))
        return False

    def disconnect_other(self, record: records.Record) -> None:
        """Disconnect where a volume was to move to, or has moved from."""
        other = dataclasses.replace(record, **record.other, encryption={})
        self.release(other, force=True)
        self.disconnect(other)

    def is_elsewhere(self, volume: str, instance: str) -> bool:
        """Tell whether another instance of this host has a volume."""
        return any(each.volume == volume and each.instance != instance
                   for each in self._records.all())


def exclusive(volume: str) -> Any:
    """Let one at a time do something with a volume."""
    return lockutils.lock(f'nova-docker-volume-{volume}')


def use(record: records.Record) -> content.Use:
    """Return how a volume is to be used."""
    return content.Use(record.volume, read_only=record.read_only,
                       shared=record.shared, root=record.root,
                       image=record.image)


def in_use(record: records.Record, reason: str) -> Exception:
    """Return what refuses to take a volume away."""
    return exception.DeviceDetachFailed(
        device=f'/volumes/{record.name}', reason=reason)


def silent(record: records.Record) -> Exception:
    """Return what refuses a volume whose storage does not answer."""
    return errors.UnsuitableVolume(
        volume=record.volume, reason='its storage does not answer.')


def _real(path: str) -> str:
    """Return a path without links; a share is not looked at."""
    if not connector.is_on_share(path):
        return os.path.realpath(path)
    base = connector.shares()
    return os.path.realpath(base) + path.removeprefix(base)


def _is_file(path: str) -> bool:
    """Tell a file from a device; a share has nothing but files."""
    if connector.is_on_share(path):
        return True
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def device(path: str) -> Iterator[str]:
    """Have a block device of what is one, or a file on a share.

    What is mounted from it inside keeps it.
    """
    if not _is_file(path):
        yield _real(path)
        return
    try:
        yield blocks.attach_file(_real(path))
    finally:
        blocks.detach_file(_real(path))
