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

"""Makes a directory the root of a container, with all that is mounted there.

Nothing below the directory is found but by way of
:mod:`nova_docker.privsep.inside`.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import ctypes
import errno
import os
import platform
import re
import stat

from nova_docker.privsep import inside

# The newer system calls have one number on every machine.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 4, 0x40
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_ATTR_READ_ONLY = 1
_PIVOT_ROOT = {'x86_64': 155}.get(platform.machine(), 41)
_MNT_DETACH = 2

#: What may be no link: where the engine looks for the kernel's own files
#: when it starts another process in the container.
_KERNELS = frozenset({'/proc', '/dev', '/sys'})
#: Links that lead to one another at most.
_MAX_LINKS = 40

_libc = ctypes.CDLL(None, use_errno=True)
# Looked up here: inside a container there is another libc.
_syscall, _umount = _libc.syscall, _libc.umount2


class _Attributes(ctypes.Structure):
    """The kernel's struct mount_attr."""

    _fields_ = [(name, ctypes.c_uint64) for name in (
        'attr_set', 'attr_clr', 'propagation', 'userns_fd')]


def replace(held: contextlib.ExitStack, own: int, root: int, target: str,
            stays: Sequence[str]) -> None:
    """Have a directory as the root, inside the container.

    What is mounted on the old root, which has no links, moves along.

    :param own: the host's /proc
    :param root: the directory
    :param target: its path
    :param stays: where something is mounted that does not move
    :raises OSError: naming what is mounted and can't have its place
    """
    mounted = list(_mounted(own))
    read_only = _is_read_only()
    for point in mounted:
        if point not in stays:
            _move(held, point, root)
    if read_only:
        _set_read_only(root)
    os.fchdir(root)
    _check(_syscall(_PIVOT_ROOT, b'.', b'.'), target)
    # The old one lies over the new one at the same place.
    _check(_umount(b'.', _MNT_DETACH), target)


def _mounted(own: int) -> Iterator[str]:
    """Yield where something is mounted on the root itself.

    :param own: the host's /proc; the container's does not know us
    """
    descriptor = os.open('thread-self/mountinfo', os.O_RDONLY, dir_fd=own)
    try:
        table = b''.join(iter(lambda: os.read(descriptor, 2 ** 16), b''))
    finally:
        os.close(descriptor)
    # The name of a place may have any of what else could end a line.
    rows = [line.split(b' ') for line in table.split(b'\n') if line]
    root = [row[0] for row in rows if row[4] == b'/'][-1]
    for row in rows:
        if row[1] == root and row[4] != b'/':
            yield os.fsdecode(re.sub(
                rb'\\([0-7]{3})', lambda found: bytes([int(found[1], 8)]),
                row[4]))


def _is_read_only() -> bool:
    return bool(os.statvfs('/').f_flag & os.ST_RDONLY)


def _move(held: contextlib.ExitStack, point: str, root: int) -> None:
    """Move what is mounted, with what is mounted in it, to the new root."""
    tree = _syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(point), os.O_CLOEXEC)
    _check(tree, point)
    held.callback(os.close, tree)
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    place = (_made if is_directory else _file)(held, root, point)
    _check(_syscall(_MOVE_MOUNT, tree, b'', place, b'',
                    _FROM_EMPTY_PATH | _TO_EMPTY_PATH), point)


def _made(held: contextlib.ExitStack, root: int, path: str) -> int:
    """Return a directory of the new root; make what is missing of it."""
    present, links = root, path not in _KERNELS
    whole = ''
    for part in path.strip('/').split('/'):
        if not part:
            continue
        whole = f'{whole}/{part}'
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            present = inside.open_below(held, root, whole, flags, links)
        except FileNotFoundError:
            try:
                os.mkdir(part, 0o755, dir_fd=present)
            except FileExistsError:
                raise OSError(errno.ENOTDIR, 'it is a link that leads '
                              'nowhere', whole) from None
            present = inside.open_below(held, root, whole, flags, links)
    return present


def _file(held: contextlib.ExitStack, root: int, path: str) -> int:
    """Return a file of the new root; make it if it is missing.

    It may be a link that leads nowhere yet, as systemd has it: what it leads
    to is made.
    """
    for _link in range(_MAX_LINKS):
        try:
            return inside.open_below(held, root, path, os.O_PATH)
        except FileNotFoundError:
            directory = _made(held, root, os.path.dirname(path))
        name = os.path.basename(path)
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY,
                             0o644, dir_fd=directory))
        except FileExistsError:
            path = os.path.normpath('/' + os.path.join(
                os.path.dirname(path), os.readlink(name, dir_fd=directory)
            ).lstrip('/'))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _set_read_only(root: int) -> None:
    attributes = _Attributes(attr_set=_ATTR_READ_ONLY)
    _check(_syscall(_MOUNT_SETATTR, root, b'', _AT_EMPTY_PATH,
                    ctypes.byref(attributes), ctypes.sizeof(attributes)), '/')


def _check(result: int, point: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), point)
