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

"""Directories of the host whose mounts appear in running instances.

One directory of the host is a shared mount. In it every instance has a
directory for each kind of what can be mounted, and the workload has these as
slaves: what is mounted there, before or after its start, appears in it.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import enum
import errno
import os
import re
from typing import Any

from oslo_log import log as logging

from nova import exception
from nova_docker.privsep import mounts
from nova_docker.privsep import mounttable

LOG = logging.getLogger(__name__)

#: On a root disk programs may raise privileges. Nobody of this host may get
#: at them.
_ROOT_MODE = 0o700
_NAME = re.compile('[A-Za-z0-9][A-Za-z0-9._-]{0,254}')


class Kind(enum.StrEnum):
    """What is mounted, and the directory of the workload it appears in.

    The root disk is in none: it is what the others are in.
    """

    VOLUMES = 'volumes'
    SHARES = 'shares'
    ROOT = 'root'


def is_name(name: str) -> bool:
    """Whether something can be mounted under this name."""
    return _NAME.fullmatch(name) is not None


class Propagation:
    """Mounts file systems into workloads.

    :param root: the directory of the host, which is nova-compute's own
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)

    def prepare(self) -> None:
        """Make the root a shared mount, which a reboot of the host undoes.

        :raises InvalidConfiguration: if that is not possible
        """
        try:
            os.makedirs(self._root, exist_ok=True)
            found = mounttable.find(self._root)
            if not (found and found.shared):
                mounts.share(self._root)
        except Exception as error:
            raise exception.InvalidConfiguration(
                f'[docker] mounts_path: {self._root} can not be made a shared '
                f"mount. Are the driver's rootwrap filters installed? {error}"
            ) from error

    def create(self, uuid: str) -> list[dict[str, Any]]:
        """Make an instance's directories; they may be there.

        The root too, where a host was rebooted or nobody has prepared it.

        :returns: the workload's mounts, as the engine's API has them
        """
        self.prepare()
        seen = [kind for kind in Kind if kind != Kind.ROOT]
        for kind in seen:
            os.makedirs(self._directory(uuid, kind), exist_ok=True)
        return [{
            'Type': 'bind',
            'Source': self._directory(uuid, kind),
            'Target': f'/{kind}',
            # What is mounted there is as writable as it is, but the host's
            # own directory is no place for a tenant's files.
            'ReadOnly': True,
            'BindOptions': {'Propagation': 'rslave',
                            'ReadOnlyNonRecursive': True},
        } for kind in seen]

    def fixed(self, uuid: str, name: str, target: str) -> dict[str, Any]:
        """Return the mount of a volume at a place of its own.

        It is made when the workload starts, and stays until it ends.
        """
        return {'Type': 'bind', 'Target': target,
                'Source': self.point(uuid, Kind.VOLUMES, name),
                'BindOptions': {'Propagation': 'rslave'}}

    def lacks(self, uuid: str, source: str) -> bool:
        """Whether it is the place of a volume that is not there."""
        directory, name = os.path.split(source)
        return (directory == self._directory(uuid, Kind.VOLUMES)
                and not self.is_mounted(uuid, Kind.VOLUMES, name))

    def mount(self, uuid: str, kind: Kind, name: str, fstype: str,
              source: str, options: Sequence[str] = (),
              restricted: bool = True) -> None:
        """Mount a file system, unless it is there already.

        :param name: of the directory in which it appears
        :param restricted: without privileges and devices in any case
        :raises ValueError: if that can't be the name of one
        :raises ProcessExecutionError: with the words of mount(8)
        """
        point = self.point(uuid, kind, name)
        if mounttable.find(point) is not None:
            return
        self.prepare()
        if kind == Kind.ROOT:
            os.makedirs(os.path.dirname(os.path.dirname(point)),
                        exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(point), _ROOT_MODE)
        os.makedirs(point, exist_ok=True)
        try:
            mounts.attach(fstype, source, point, list(options), restricted)
        except Exception:
            os.rmdir(point)
            raise

    def unmount(self, uuid: str, kind: Kind, name: str,
                lazy: bool = False) -> None:
        """Unmount a file system; it may be gone already.

        :param lazy: also if it is in use, or its storage is gone
        :raises OSError: if it is in use
        """
        point = self.point(uuid, kind, name)
        if mounttable.find(point) is not None:
            mounts.detach(point, lazy)
        _remove(point)

    def flush(self, uuid: str, kind: Kind, name: str) -> None:
        """Write to storage what was written to a file system.

        :raises OSError: it can't be, or its storage does not answer
        """
        mounts.flush(self.point(uuid, kind, name))

    def find(self, uuid: str, kind: Kind, name: str
             ) -> mounttable.Mount | None:
        """Return what is mounted under this name."""
        return mounttable.find(self.point(uuid, kind, name))

    def is_mounted(self, uuid: str, kind: Kind, name: str) -> bool:
        """Whether something is mounted under this name."""
        return self.find(uuid, kind, name) is not None

    def has_any(self, uuid: str) -> bool:
        """Whether anything is mounted for an instance."""
        return bool(mounttable.below(os.path.join(self._root, uuid)))

    def remove(self, uuid: str) -> None:
        """Leave nothing of an instance, whose workload is gone.

        Can be run again. No file is ever removed, only empty directories:
        what is still mounted is somebody's data.
        """
        for point in mounttable.below(os.path.join(self._root, uuid)):
            # Where somebody else has made the root a shared mount, the table
            # may have each mount twice: one goes with the other.
            if mounttable.find(point) is not None:
                mounts.detach(point, lazy=True)
        for kind in Kind:
            directory = self._directory(uuid, kind)
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(directory):
                    _remove(os.path.join(directory, name))
            _remove(directory)
        _remove(os.path.join(self._root, uuid))

    def _directory(self, uuid: str, kind: Kind) -> str:
        return os.path.join(self._root, uuid, kind)

    def point(self, uuid: str, kind: Kind, name: str) -> str:
        """Return the directory of the host in which something is mounted.

        :raises ValueError: if the name can't be that of one
        """
        if not is_name(name):
            raise ValueError(f"'{name}' can't be the name of a directory")
        return os.path.join(self._directory(uuid, kind), name)


def _remove(directory: str) -> None:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
            raise
        LOG.warning('%s is left behind: %s', directory, error)
