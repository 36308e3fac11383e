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

"""LXCFS, through which a container sees its own CPUs, memory and uptime.

A container's mounts are fixed when it is made, but LXCFS comes and goes. So
what is bound over the files of /proc lies below a link of ours, and that leads
to LXCFS if it serves when the container starts, else to the host's own files.
The files themselves must not be links: CRIU can't bring back such mounts.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading

from oslo_log import log as logging

from nova import exception
from nova_docker.conf import CONF

LOG = logging.getLogger(__name__)

#: Seconds in which it tells how long a container has been up.
_PATIENCE = 5

_changing = threading.Lock()


def directory() -> str | None:
    """Return the link to where the files are; None not to use LXCFS."""
    if CONF.docker.lxcfs == 'off':
        return None
    return os.path.join(CONF.state_path, 'lxcfs', 'root')


def serving() -> str | None:
    """Return LXCFS's mount point; None if it does not serve, or is off."""
    path: str = CONF.docker.lxcfs_path
    if CONF.docker.lxcfs != 'off' and _look.answers(f'{path}/proc/uptime'):
        return path
    return None


class _Look:
    """Looks at a file, by a thread that may have to wait for ever.

    A LXCFS that stands still has who reads wait for it. Only one thread does.
    """

    def __init__(self) -> None:
        self._waiting: threading.Thread | None = None

    def answers(self, path: str) -> bool:
        """Whether a file has content; not if that is not known in time."""
        if self._waiting is not None and self._waiting.is_alive():
            return False
        found: list[bool] = []
        looker = threading.Thread(
            target=lambda: found.append(_has_content(path)), daemon=True,
            name='lxcfs')
        looker.start()
        looker.join(_PATIENCE)
        self._waiting = looker if looker.is_alive() else None
        if self._waiting is not None:
            LOG.warning('LXCFS stands still: %s can not be read. Until it '
                        'goes on it is as if it did not run.', path)
        return found == [True]


_look = _Look()


def _has_content(path: str) -> bool:
    # A dead one leaves its mount behind, which answers with an error.
    with contextlib.suppress(OSError), open(path, 'rb') as file:
        return bool(file.read(1))
    return False


def prepare() -> None:
    """Do what must be done before a container starts.

    :raises HypervisorUnavailable: LXCFS does not serve, and is required
    """
    aim()
    if CONF.docker.lxcfs == 'required' and serving() is None:
        raise exception.HypervisorUnavailable(
            f'LXCFS does not answer at {CONF.docker.lxcfs_path}, and [docker] '
            'lxcfs requires it.')


def aim() -> None:
    """Let the link lead to LXCFS if it serves, else to the host's files."""
    place = directory()
    if place is not None:
        target = serving() or '/'
        with _changing:
            _link(pathlib.Path(place), target)


def _link(place: pathlib.Path, target: str) -> None:
    if place.is_symlink() and os.readlink(place) == target:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # At no time there may be none: the engine would make a directory.
    new = place.with_suffix('.new')
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(place)
