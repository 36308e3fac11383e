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

"""How large a running container's root file system is as a tar archive."""

from collections.abc import Generator
from collections.abc import Iterator
import contextlib
import ctypes
import errno
import os
import stat
import struct

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import namespaces

#: Files that are looked at. More take longer than the answer is worth.
MAX_FILES = 500_000
# Each level holds a descriptor open.
_MAX_DEPTH = 64

_BLOCK = 512
#: The end mark.
_END = 2 * _BLOCK
# What the fields of a plain header hold; beyond, an extended one precedes it.
_MAX_NAME, _MAX_PREFIX = 100, 155
_MAX_ID, _MAX_SIZE = 8 ** 7 - 1, 8 ** 11 - 1
#: Bytes of an extended header's records beside the names.
_RECORDS = 256

# It has one number on every machine.
_OPENAT2 = 437
# Into no mount, and along no link of any kind.
_RESOLVE = 1 | 2 | 4


def _how(flags: int) -> bytes:
    return struct.pack('QQQ', flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0,
                       _RESOLVE)


#: Into a directory, to list it.
_DIRECTORY = _how(os.O_RDONLY | os.O_DIRECTORY)
#: To look at, not to read: nothing is opened, be it a pipe or a device.
_FILE = _how(os.O_PATH)
_libc = ctypes.CDLL(None, use_errno=True)


@privsep.mount_pctxt.entrypoint
def archived(pid: int) -> int | None:
    """Return the bytes that an archive of a container's root would have.

    Nothing is read but names and figures, no link is followed, and nothing
    that is mounted below the root is touched: what a dead server exports
    would not answer. It goes on while files change, so it is an estimate.

    :param pid: a process of the container
    :returns: None if there is too much to look at
    :raises ValueError: the process is no container's
    :raises OSError: it has ended, or a directory is too deep
    """
    checks.process(pid)
    path = f'/proc/{pid}/root'
    with namespaces.of_process(pid, namespaces.MOUNT):
        if os.readlink(path) != '/':
            raise ValueError(f'process {pid} has changed its root')
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    return _size(root)


class _TooMuch(Exception):
    """There is more to look at than the answer is worth."""


def _size(root: int) -> int | None:
    seen: set[tuple[int, int]] = set()
    total, allowed = _END, iter(range(MAX_FILES))
    try:
        with contextlib.closing(_entries(root, '', 0, allowed)) as entries:
            for path, found in entries:
                total += member(path, found, _is_again(found, seen))
    except _TooMuch:
        return None
    return total


def _entries(directory: int, path: str, depth: int, allowed: Iterator[int]
             ) -> Generator[tuple[str, os.stat_result], None, None]:
    """Yield path and figures of all that is below; close the descriptor.

    :param allowed: has an item for each file that may be looked at
    """
    below = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                # Not when it is yielded: until then its name is held.
                if next(allowed, None) is None:
                    raise _TooMuch
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                else:
                    yield path + entry.name, _figures(directory, entry.name)
        for name in below:
            yield f'{path}{name}/', _figures(directory, name)
            child = _opened(directory, name, _DIRECTORY)
            if child is None:
                continue
            if depth == _MAX_DEPTH:
                os.close(child)
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            yield from _entries(child, f'{path}{name}/', depth + 1, allowed)
    finally:
        os.close(directory)


def _figures(directory: int, name: str) -> os.stat_result:
    file = _opened(directory, name, _FILE)
    if file is None:
        # What lies under a mount is not seen, and takes a header at least.
        return os.fstat(directory)
    try:
        return os.fstat(file)
    finally:
        os.close(file)


def _opened(directory: int, name: str, how: bytes) -> int | None:
    """Open a file; None if it is gone, or something is mounted on it."""
    file: int = _libc.syscall(_OPENAT2, directory, os.fsencode(name), how,
                              len(how))
    if file >= 0:
        return file
    code = ctypes.get_errno()
    if code in (errno.EXDEV, errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return None
    raise OSError(code, os.strerror(code))


def _is_again(found: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    """Tell if it is a further name of a file that was seen."""
    if found.st_nlink < 2 or stat.S_ISDIR(found.st_mode):
        return False
    key = found.st_dev, found.st_ino
    if key in seen:
        return True
    seen.add(key)
    return False


def member(path: str, found: os.stat_result, again: bool) -> int:
    """Return the bytes of one file in an archive, or a little more.

    :param path: from the root
    :param found: as lstat has it
    :param again: it is a hard link to an earlier one
    """
    name = os.fsencode(path)
    size = found.st_size if stat.S_ISREG(found.st_mode) and not again else 0
    total = _BLOCK + _rounded(size)
    link = found.st_size if stat.S_ISLNK(found.st_mode) else 0
    if (again or _is_long(name) or link > _MAX_NAME or size > _MAX_SIZE
            or max(found.st_uid, found.st_gid) > _MAX_ID
            or found.st_mtime < 0):
        # A hard link has the earlier name, too; it is as long, say.
        total += _BLOCK + _rounded(_RECORDS + len(name) * (1 + again) + link)
    return total


def _is_long(name: bytes) -> bool:
    """Tell if a name fits into no header, not even when it is split."""
    if not name.isascii():
        return True
    if len(name) <= _MAX_NAME:
        return False
    slash = name[:_MAX_PREFIX + 1].rfind(b'/', 0, len(name) - 1)
    return slash <= 0 or len(name) - slash - 1 > _MAX_NAME


def _rounded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
