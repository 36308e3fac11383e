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

"""Privileged acts on a volume that is, or is about to be, a root disk.

At the volume's top are a directory, the root file system, and a file that
describes it. The file is written last: without it the root file system is not
whole. Another file says from the first until then that it is being made.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import enum
import errno
import os
import stat
import subprocess

from oslo_concurrency import processutils

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import inside

#: The names at the top.
ROOT = 'root'
_DESCRIPTION, _DRAFT = 'nova-docker.json', 'nova-docker.json.new'
_BEGUN = 'nova-docker.unfinished'
#: What mkfs may make.
_EMPTY = frozenset({'lost+found'})

_libc = ctypes.CDLL(None, use_errno=True)


class State(enum.StrEnum):
    """What is on a volume."""

    WHOLE = 'whole'
    #: Nothing, or what an interrupted unpacking has left.
    BLANK = 'blank'
    OTHER = 'other'


@privsep.root_pctxt.entrypoint
def state(point: str) -> str:
    """Tell what is on a mounted volume, as a :class:`State`."""
    with _top(point) as top:
        if _kind(top, _DESCRIPTION) is not None:
            is_whole = (_kind(top, _DESCRIPTION), _kind(top, ROOT)) == (
                stat.S_IFREG, stat.S_IFDIR)
            return State.WHOLE if is_whole else State.OTHER
        if _kind(top, _BEGUN) == stat.S_IFREG or _is_empty(top):
            return State.BLANK
        return State.OTHER


@privsep.root_pctxt.entrypoint
def begin(point: str) -> None:
    """Make room for a root file system on a volume that is blank.

    What an interrupted unpacking has left is removed.

    :raises OSError: it can't be, or nothing can be written
    """
    with _top(point) as top:
        if _kind(top, _DESCRIPTION) is not None:
            raise ValueError(f'{point} has a root file system')
        if _kind(top, _BEGUN) is None:
            os.close(_made(top, _BEGUN))
        _sync(top)
        _remove(point, ROOT, _DRAFT)
        os.mkdir(ROOT, 0o755, dir_fd=top)


@privsep.root_pctxt.entrypoint
def finish(point: str, description: bytes) -> None:
    """Say that the root file system is whole; all of it is on the device."""
    with _top(point) as top:
        _sync(top)
        with open(_made(top, _DRAFT), 'wb') as file:
            file.write(description)
            file.flush()
            os.fsync(file.fileno())
        os.rename(_DRAFT, _DESCRIPTION, src_dir_fd=top, dst_dir_fd=top)
        os.unlink(_BEGUN, dir_fd=top)
        _sync(top)


@privsep.root_pctxt.entrypoint
def description(point: str, limit: int) -> bytes:
    """Return the file that describes the root file system.

    :param limit: bytes; a larger file is refused
    """
    with contextlib.ExitStack() as held:
        top = held.enter_context(_top(point))
        return _read(held, top, _DESCRIPTION, limit)


@privsep.root_pctxt.entrypoint
def lend(root: str, target: str) -> None:
    """Mount a root file system at a second place, for a rescue.

    :param target: an empty directory
    """
    checks.root_directory(root)
    processutils.execute('mount', '--bind', '--', root,
                         checks.plain_path(target))


@privsep.root_pctxt.entrypoint
def look(root: str, path: str) -> tuple[str, int, int] | None:
    """Return where a path leads in a root file system, and what is there.

    :param root: the root file system, as this host has it
    :returns: a path without links, the type and permissions, and the size;
        None if it leads nowhere
    """
    with contextlib.ExitStack() as held:
        top = _opened_root(held, root)
        try:
            file = inside.open_below(held, top, path, os.O_PATH)
        except OSError:
            return None
        whole, found = (os.readlink(f'/proc/self/fd/{each}')
                        for each in (top, file))
        figures = os.fstat(file)
        return (found[len(whole):] or '/', figures.st_mode, figures.st_size)


@privsep.root_pctxt.entrypoint
def read(root: str, path: str, limit: int) -> bytes | None:
    """Return a file of a root file system; None if there is no such file.

    :param limit: bytes; a larger one counts as none
    """
    with contextlib.ExitStack() as held:
        top = _opened_root(held, root)
        try:
            return _read(held, top, path, limit)
        except (OSError, ValueError):
            return None


def _read(held: contextlib.ExitStack, top: int, path: str,
          limit: int) -> bytes:
    # A pipe would be waited for, and a device may act when it is opened.
    found = inside.open_below(held, top, path, os.O_PATH)
    figures = os.fstat(found)
    if not stat.S_ISREG(figures.st_mode):
        raise ValueError(f'{path} is no file')
    if figures.st_size > limit:
        raise ValueError(f'{path} is larger than {limit} bytes')
    file = os.open(f'/proc/self/fd/{found}', os.O_RDONLY | os.O_NONBLOCK)
    held.callback(os.close, file)
    return os.read(file, limit)


def _opened_root(held: contextlib.ExitStack, root: str) -> int:
    checks.root_directory(root)
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    held.callback(os.close, descriptor)
    return descriptor


@contextlib.contextmanager
def _top(point: str) -> Iterator[int]:
    checks.root_point(point)
    descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kind(top: int, name: str) -> int | None:
    """Return the type of what has a name; None if nothing has."""
    try:
        figures = os.stat(name, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return stat.S_IFMT(figures.st_mode)


def _is_empty(top: int) -> bool:
    # Somebody may have made millions of files.
    with os.scandir(top) as entries:
        return all(entry.name in _EMPTY for entry in entries)


def _made(top: int, name: str) -> int:
    """Return a new file, open to be written to; it must not be there."""
    return os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC,
                   0o600, dir_fd=top)


def _remove(point: str, *names: str) -> None:
    """Remove trees of any size and depth, if they are there.

    Python's own way takes them into memory, and ends in deep ones.
    """
    done = subprocess.run(
        ['rm', '-rf', '--one-file-system', '--', *names], cwd=point,
        check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    if done.returncode:
        raise OSError(errno.ENOTEMPTY, 'what an interrupted unpacking has '
                                       'left can not be removed')


def _sync(top: int) -> None:
    if _libc.syncfs(top) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
