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

"""A container that has just started enters a root file system of its own.

What the engine has mounted for it moves along, and so do all its processes,
and those that the engine starts in it later:
https://man7.org/linux/man-pages/man2/pivot_root.2.html
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import ctypes
import errno
import os
import platform
import re
import select
import stat

from nova_docker import privsep
from nova_docker.privsep import blocks
from nova_docker.privsep import checks
from nova_docker.privsep import inside
from nova_docker.privsep import namespaces
from nova_docker.privsep import programs

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
#: Milliseconds until it is looked again whether the gate reads, and how
#: often.
_PAUSE, _LOOKS = 5, 6000
#: Links that lead to one another at most.
_MAX_LINKS = 40

_libc = ctypes.CDLL(None, use_errno=True)
# Looked up here: inside a container there is another libc.
_syscall, _umount = _libc.syscall, _libc.umount2


class Refusal(Exception):
    """A file of the volume keeps it from being the root.

    On the way from the daemon an OSError loses its file's name.

    :param code: the number of the error
    :param path: of the file
    """

    def __init__(self, code: int, path: str) -> None:
        super().__init__(code, path)
        self.code = code
        self.path = path

    def __str__(self) -> str:
        return f'{self.path}: {os.strerror(self.code)}'


class _Attributes(ctypes.Structure):
    """The kernel's struct mount_attr."""

    _fields_ = [(name, ctypes.c_uint64) for name in (
        'attr_set', 'attr_clr', 'propagation', 'userns_fd')]


@privsep.root_pctxt.entrypoint
def enter(pid: int, source: str, target: str, left: Sequence[str],
          pipe: str, program: str, path: Sequence[str],
          workdir: str) -> bool:
    """Put a container's volume in the place of its root; let it go on.

    :param pid: the container's main process, which waits at the pipe
    :param source: the root file system, as this host has it
    :param target: where the container has it
    :param left: further places at which something is mounted and stays
    :param pipe: of the container's old root
    :param program: what it shall become: a path, or a name
    :param path: directories in which a name is looked for
    :param workdir: the program's working directory; made if it is missing
    :returns: False if the container has that root already
    :raises Refusal: it has no such program, or what is mounted can't have
        its place; ETIMEDOUT where the program, or its working directory, is
        on storage that does not answer
    :raises ProcessLookupError: the container has ended
    """
    checks.process(pid)
    checks.root_directory(source)
    with contextlib.ExitStack() as held, _named():
        ending = os.pidfd_open(pid)
        held.callback(os.close, ending)
        namespace = held.enter_context(
            namespaces.of_process(pid, namespaces.MOUNT))
        own = os.open('/proc', os.O_PATH | os.O_DIRECTORY)
        held.callback(os.close, own)
        words = namespaces.run_in(
            namespace, _enter, held, own, ending, os.stat(source), target,
            [target, *left], pipe)
        if words is None:
            return False
        found = programs.find(namespace, program, path, workdir,
                              blocks.SILENCE)
        os.write(words, b'%s\0%s\0' % (os.fsencode(workdir),
                                       os.fsencode(found)))
        return True


@privsep.root_pctxt.entrypoint
def is_waiting(pid: int, target: str) -> bool:
    """Tell whether a container has its volume beside its root still.

    No file system is touched.

    :param pid: the container's main process
    :param target: where the container has it until it is the root
    """
    checks.process(pid)
    try:
        with open(f'/proc/{pid}/mountinfo', 'rb') as table:
            return any(line.split(b' ')[4] == os.fsencode(target)
                       for line in table)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError as error:
        # It has ended, and nobody has taken note of that yet.
        if error.errno != errno.EINVAL:
            raise
        return False


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Let the name of a file come through to who is not root."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno is None:
            raise
        raise Refusal(error.errno, os.fsdecode(error.filename)) from error


def _enter(held: contextlib.ExitStack, own: int, ending: int,
           source: os.stat_result, target: str, stays: Sequence[str],
           pipe: str) -> int | None:
    """Have the volume as the root, inside the container.

    The old root is the driver's own and has no links. Nothing of the volume
    is found but by way of :mod:`nova_docker.privsep.inside`.

    :returns: the pipe; None if it is the root already
    """
    if os.path.samestat(source, os.stat('/')):
        return None
    root = _opened(held, target, os.O_PATH | os.O_DIRECTORY)
    if not os.path.samestat(source, os.fstat(root)):
        raise OSError(errno.ENODEV, 'the volume is not in the container')
    words = _reached(held, own, pipe, ending)
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
    return words


def _reached(held: contextlib.ExitStack, own: int, pipe: str,
             ending: int) -> int:
    """Return the pipe once the gate reads from it.

    The engine says that a container has started a moment before that is so.

    :param own: the host's /proc
    """
    poll = select.poll()
    poll.register(ending, select.POLLIN)
    found = _opened(held, pipe, os.O_PATH)
    if not stat.S_ISFIFO(os.fstat(found).st_mode):
        # Of a device, no control group would keep us off.
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), pipe)
    for _look in range(_LOOKS):
        try:
            words = os.open(f'thread-self/fd/{found}', os.O_WRONLY
                            | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            held.callback(os.close, words)
            return words
        if poll.poll(_PAUSE):
            raise OSError(errno.ESRCH, 'the container has ended')
    raise OSError(errno.ETIMEDOUT, 'the container does not start')


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


def _opened(held: contextlib.ExitStack, path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return descriptor


def _check(result: int, point: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), point)
