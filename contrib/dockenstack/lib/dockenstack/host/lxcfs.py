# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""LXCFS, so that a container's /proc tells of the container."""

import contextlib
import os
import pathlib

from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack import shell

PACKAGES = ('lxcfs', 'fuse3')
MACHINES_OWN = pathlib.Path('/var/lib/lxcfs')
# LXCFS makes this, and leaves it empty.
RUNTIME = pathlib.Path('/run/lxcfs')


def path(home: Home) -> pathlib.Path:
    """Where it is mounted: the machine's own if there is one, else ours."""
    return MACHINES_OWN if _serves(MACHINES_OWN) else home.run / 'lxcfs'


def service(home: Home) -> Service:
    mount = home.run / 'lxcfs'
    return Service(
        name='lxcfs',
        command=('/usr/bin/lxcfs', '--enable-cfs', '--enable-loadavg',
                 '--foreground', '--pidfile', str(home.run / 'lxcfs.pid'),
                 str(mount)),
        address=str(mount), ready=lambda: _serves(mount))


def start(home: Home, supervisor: Supervisor) -> str:
    if _serves(MACHINES_OWN):
        return f"the machine's own at {MACHINES_OWN}"
    if not supervisor.is_current(service(home)):
        unmount(home)
    (home.run / 'lxcfs').mkdir(exist_ok=True)
    supervisor.ensure(service(home))
    return f'at {home.run / "lxcfs"}'


def unmount(home: Home) -> None:
    """Take away what a dead LXCFS left mounted. May be called again."""
    mount = str(home.run / 'lxcfs')
    while mount in pathlib.Path('/proc/self/mounts').read_text():
        shell.run('umount', '--lazy', mount)
    if not machine_has_it():
        for path in (RUNTIME / 'controllers', RUNTIME / 'root', RUNTIME):
            with contextlib.suppress(OSError):
                path.rmdir()


def machine_has_it() -> bool:
    return _serves(MACHINES_OWN)


def _serves(mount: pathlib.Path) -> bool:
    try:
        return os.path.ismount(mount) and bool(
            (mount / 'proc' / 'cpuinfo').read_bytes())
    except OSError:
        return False
