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

"""Find, recognise and end the processes of this cloud.

Each process that we start carries a mark in its environment, and so does
everything that it starts in turn: workers, dnsmasq, privileged helpers. That
finds them all, also when what should have ended them was killed itself.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import os
import pathlib
import signal
import time

from dockenstack.settings import Home

PROC = pathlib.Path('/proc')
HOME_MARK = 'DOCKENSTACK_HOME'
SERVICE_MARK = 'DOCKENSTACK_SERVICE'


def marks(home: Home, service: str) -> dict[str, str]:
    return {HOME_MARK: str(home.root), SERVICE_MARK: service}


def pids() -> Iterator[int]:
    for entry in os.listdir(PROC):
        if entry.isdigit():
            yield int(entry)


def start_time(pid: int) -> str | None:
    """When a process began, or None if it is gone or a zombie.

    With the boot's id it names a process for ever: pids come again.
    """
    try:
        stat = (PROC / str(pid) / 'stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(')')[2].split()
    if state in 'ZX':
        return None
    boot = (PROC / 'sys/kernel/random/boot_id').read_text().strip()
    return f'{boot}/{fields[18]}'


def _environment(pid: int) -> set[str]:
    try:
        data = (PROC / str(pid) / 'environ').read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return set()
    return set(data.decode(errors='replace').split('\0'))


def marked(home: Home, service: str | None = None) -> list[int]:
    """The pids of all that a service (or every service) left running."""
    wanted = {f'{HOME_MARK}={home.root}'}
    if service:
        wanted.add(f'{SERVICE_MARK}={service}')
    return [pid for pid in pids()
            if pid != os.getpid() and wanted <= (found := _environment(pid))
            and any(item.startswith(SERVICE_MARK) for item in found)
            and _is_of_this_system(pid) and start_time(pid)]


def _is_of_this_system(pid: int) -> bool:
    """Whether it is not in a container, where our home is another's."""
    try:
        return (os.readlink(PROC / str(pid) / 'ns/pid') ==
                os.readlink(PROC / 'self/ns/pid'))
    except OSError:
        return False


def in_cgroup(name: str) -> list[int]:
    """The pids of all processes in cgroups below the one named.

    Another system on this kernel may have one of that name too, in a cgroup
    of its own; ours is in one that we are in ourselves, the root for most.
    """
    own = {hierarchy: {pathlib.PurePath(path),
                       *pathlib.PurePath(path).parents}
           for hierarchy, path in _cgroups('self')}
    found = []
    for pid in pids():
        parents = [(hierarchy, _parent(path, name))
                   for hierarchy, path in _cgroups(pid)
                   if f'/{name}/' in path]
        if (parents and start_time(pid) and
                all(path in own[hierarchy] for hierarchy, path in parents)):
            found.append(pid)
    return found


def _cgroups(process: int | str) -> list[tuple[str, str]]:
    """Each hierarchy with the path of a process in it, see cgroups(7)."""
    try:
        lines = (PROC / str(process) / 'cgroup').read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [(hierarchy, path) for hierarchy, _, path in
            (line.split(':', 2) for line in lines)]


def _parent(path: str, name: str) -> pathlib.PurePath:
    """What the cgroup named is in, of a path that leads below it."""
    return pathlib.PurePath(path.partition(f'/{name}/')[0] or '/')


def memory(pid: int) -> int:
    """The proportional share of memory of one process, in bytes."""
    try:
        rollup = (PROC / str(pid) / 'smaps_rollup').read_text()
    except OSError:
        return 0
    for line in rollup.splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    return 0


def send(targets: Iterable[int], number: signal.Signals) -> None:
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_gone(targets: Iterable[int], seconds: float) -> list[int]:
    """Wait for processes to end; give those that did not."""
    deadline = time.monotonic() + seconds
    left = [pid for pid in targets if start_time(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if start_time(pid)]
    return left


def end(targets: Iterable[int], patience: float) -> None:
    """Ask processes to end, and make those end that do not."""
    found = list(targets)
    send(found, signal.SIGTERM)
    stubborn = wait_gone(found, patience)
    send(stubborn, signal.SIGKILL)
    wait_gone(stubborn, 10)
