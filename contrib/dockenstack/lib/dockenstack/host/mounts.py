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

"""Find and remove mounts below a directory, and have control groups."""

import contextlib
import os
import pathlib

from dockenstack import shell

CGROUP = pathlib.Path('/sys/fs/cgroup')
CONTROLLERS = ('cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer',
               'blkio', 'pids')


def below(directory: pathlib.Path) -> list[str]:
    """The mount points below a directory, the last mounted first."""
    found = []
    for line in pathlib.Path('/proc/self/mountinfo').read_text().splitlines():
        point = line.split()[4].encode().decode('unicode_escape')
        if point.startswith(f'{directory}/'):
            found.append(point)
    return found[::-1]


def remove_below(directory: pathlib.Path) -> None:
    """Unmount everything below a directory. May be called again."""
    for point in below(directory):
        shell.run('umount', '--lazy', point, check=False)


def have_cgroups() -> bool:
    """Mount control groups if nobody has; True if that was needed.

    A systemd machine has them. Containers and small virtual machines may
    not; version 2 is preferred where the kernel gives it the controllers.
    """
    if CGROUP.joinpath('cgroup.controllers').exists() or below(CGROUP):
        return False
    CGROUP.mkdir(exist_ok=True)
    shell.run('mount', '-t', 'cgroup2', 'cgroup2', CGROUP, check=False)
    controllers = CGROUP / 'cgroup.controllers'
    if controllers.exists() and 'memory' in controllers.read_text():
        return True
    shell.run('umount', CGROUP, check=False)
    shell.run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'cgroup', CGROUP)
    for name in CONTROLLERS:
        (CGROUP / name).mkdir()
        shell.run('mount', '-t', 'cgroup', '-o', name, name, CGROUP / name,
                  check=False)
    return True


def remove_cgroups() -> None:
    """Undo `have_cgroups`."""
    remove_below(CGROUP)
    shell.run('umount', CGROUP, check=False)


def remove_cgroup(name: str) -> None:
    """Remove a control group from every hierarchy, where it is empty.

    One that the kernel still holds, for a process not yet reaped, stays: it
    is no obstacle. Nor is one that somebody else removes meanwhile, as what
    is left of a dead engine does. May be called again.
    """
    for parent in (CGROUP, *CGROUP.iterdir()):
        for path, _below, _files in os.walk(parent / name, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
