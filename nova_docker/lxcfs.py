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

from nova import exception
from nova_docker.conf import CONF

_changing = threading.Lock()


def directory() -> str | None:
    """Return the link to where the files are; None not to use LXCFS."""
    if CONF.docker.lxcfs == 'off':
        return None
    return os.path.join(CONF.state_path, 'lxcfs', 'root')


def serving() -> str | None:
    """Return LXCFS's mount point; None if it does not serve, or is off."""
    path: str = CONF.docker.lxcfs_path
    if CONF.docker.lxcfs != 'off':
        # A dead one leaves its mount behind, which answers with an error.
        with contextlib.suppress(OSError), open(
                f'{path}/proc/uptime', 'rb') as uptime:
            return path if uptime.read(1) else None
    return None


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
        with _changing:
            _link(pathlib.Path(place), serving() or '/')


def _link(place: pathlib.Path, target: str) -> None:
    if place.is_symlink() and os.readlink(place) == target:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # At no time there may be none: the engine would make a directory.
    new = place.with_suffix('.new')
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(place)
