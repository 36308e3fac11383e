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

"""Privileged acts on what stands in for files of a container's /proc."""

from collections.abc import Sequence
import contextlib
import ctypes
import os
import stat
import struct

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import namespaces

_AT_FDCWD = -100
# The newer system calls have one number on every machine.
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_MS_PRIVATE = 1 << 18
_FUSE = 0x65735546

_libc = ctypes.CDLL(None, use_errno=True)
# Looked up here: inside a container there is another libc.
_syscall, _mount, _umount, _fstatfs = (
    _libc.syscall, _libc.mount, _libc.umount2, _libc.fstatfs)


@privsep.proc_pctxt.entrypoint
def renew(pid: int, source: str, names: Sequence[str]) -> list[str]:
    """Replace what a dead LXCFS left over files of a container's /proc.

    What comes from the LXCFS that serves now stays, and so does a file that
    nothing was mounted on. Can be run again.

    :param pid: a process of the container
    :param source: where LXCFS has its ``proc``, on the host
    :param names: of the files
    :returns: which of them were replaced
    """
    checks.process(pid)
    for name in names:
        checks.proc_file(name)
    with contextlib.ExitStack() as held:
        namespace = held.enter_context(
            namespaces.of_process(pid, namespaces.MOUNT))
        trees = {name: _cloned(held, os.path.join(source, name))
                 for name in names}
        # The container's own does not know us.
        own = _opened(held, '/proc')
        return namespaces.run_in(namespace, _replace, trees, own)


def _opened(held: contextlib.ExitStack, path: str) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    held.callback(os.close, descriptor)
    return descriptor


def _cloned(held: contextlib.ExitStack, path: str) -> int:
    """Return a mount of a file, which is attached to no place yet."""
    tree: int = _syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path),
                         _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
    _check(tree)
    held.callback(os.close, tree)
    figures = ctypes.create_string_buffer(512)
    _check(_fstatfs(tree, figures))
    [kind] = struct.unpack_from('l', figures)
    if kind != _FUSE or not stat.S_ISREG(os.fstat(tree).st_mode):
        raise ValueError(f'not a file of LXCFS: {path}')
    return tree


def _replace(trees: dict[str, int], own: int) -> list[str]:
    """Do it, inside the container.

    Nothing here follows a path that the container could have made: /proc
    must be the kernel's, and a name in it is a single one.

    :param own: descriptor of the host's /proc
    """
    with contextlib.ExitStack() as held:
        os.fchdir(_opened(held, '/proc'))
        mounts = _mounts(own)
        if mounts.get(b'/proc', (b'', b''))[1] != b'proc':
            raise ValueError("the container's /proc is not the kernel's")
        stale = [name for name, tree in trees.items() if _is_stale(
            mounts.get(b'/proc/' + name.encode()), os.fstat(tree).st_dev)]
        for name in stale:
            _attach(name.encode(), trees[name])
        return stale


def _mounts(own: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Return device and file system of what is mounted at each place."""
    # Bytes: to decode them could import a codec of the container's.
    found = {}
    for line in _read(own, 'thread-self/mountinfo').split(b'\n'):
        if not line:
            continue
        fields = line.split(b' ')
        kind = fields[fields.index(b'-') + 1]
        found[fields[4]] = (fields[2], kind)
    return found


def _read(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=directory)
    try:
        return b''.join(iter(lambda: os.read(descriptor, 2 ** 16), b''))
    finally:
        os.close(descriptor)


def _is_stale(mounted: tuple[bytes, bytes] | None, device: int) -> bool:
    """Tell if a mount is LXCFS's or the host's, but not of this device."""
    if mounted is None:
        return False
    current = b'%d:%d' % (os.major(device), os.minor(device))
    return mounted[1] in (b'fuse.lxcfs', b'proc') and mounted[0] != current


def _attach(name: bytes, tree: int) -> None:
    _check(_umount(name, _MNT_DETACH | _UMOUNT_NOFOLLOW))
    _check(_syscall(_MOVE_MOUNT, tree, b'', _AT_FDCWD, name,
                    _MOVE_MOUNT_F_EMPTY_PATH))
    # What the host mounts and unmounts later is no affair of this one.
    _check(_mount(None, name, None, _MS_PRIVATE, None))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
