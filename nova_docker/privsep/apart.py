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

"""Acts on storage that may hang, each in a process of its own.

The kernel does not let go of who waits for such storage, not even of who is
killed. So this file is also a program, with nothing but Python's own modules,
which ends with the number of an error.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import ctypes
import errno
import mmap
import os
import stat
import subprocess
import sys

_PAGE = 4096
_BLOCK = '/sys/class/block'
_MNT_FORCE, _MNT_DETACH, _UMOUNT_NOFOLLOW = 0x1, 0x2, 0x8


def run(act: str, path: str, seconds: float,
        goes_on: Callable[[], bool] = lambda: False) -> None:
    """Do one of the acts below.

    :param seconds: that it may take
    :param goes_on: whether it may go on for as long again
    :raises TimeoutError: it has not ended; it does when the storage is back
    :raises OSError: as the act does
    """
    process = subprocess.Popen(
        [sys.executable, '-I', '-S', __file__, act, path],
        stdin=subprocess.DEVNULL)
    while True:
        try:
            code = process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            if not goes_on():
                # Whoever waits for it would wait for the storage.
                process.kill()
                raise TimeoutError(errno.ETIMEDOUT,
                                   os.strerror(errno.ETIMEDOUT),
                                   path) from None
    if code:
        raise OSError(abs(code), os.strerror(abs(code)), path)


def read(path: str) -> None:
    """Read the beginning of a device or a file, past all caches.

    Of a directory, ask who has it how full that is. Of a device that is a
    file, read that too: its server has gone, and its pages are still here.
    """
    if os.path.isdir(path):
        os.statvfs(path)
        return
    _read(path)
    for file in _files_of(path):
        # It may be another mount namespace's.
        with contextlib.suppress(FileNotFoundError):
            _read(file)


def _read(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A file system in memory has no such thing.
        descriptor = os.open(path, os.O_RDONLY)
    # O_DIRECT wants memory of whole pages.
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        page = stack.enter_context(mmap.mmap(-1, _PAGE))
        if os.preadv(descriptor, [page], 0) == 0:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))


def _files_of(path: str) -> Iterator[str]:
    """Yield the file of a loop device, also of one that another is on."""
    block = os.path.join(_BLOCK, os.path.basename(os.path.realpath(path)))
    if not stat.S_ISBLK(os.stat(path).st_mode) or not os.path.isdir(block):
        return
    with contextlib.suppress(FileNotFoundError), open(
            f'{block}/loop/backing_file') as file:
        yield file.read().strip('\n')
    with contextlib.suppress(FileNotFoundError):
        below = os.listdir(f'{block}/slaves')
        # Of several, some may answer for the others.
        if len(below) == 1:
            yield from _files_of(f'/dev/{below[0]}')


def flush(point: str) -> None:
    """Write to storage what a mounted file system still has in memory."""
    descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def unmount(point: str) -> None:
    """Write what is still to be written, and unmount."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check(libc.syncfs(descriptor))
    finally:
        os.close(descriptor)
    _check(libc.umount2(os.fsencode(point), _UMOUNT_NOFOLLOW))


def forsake(point: str) -> None:
    """Unmount, whoever uses it, and write what there is to it after that."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.umount2(os.fsencode(point), _UMOUNT_NOFOLLOW | _MNT_DETACH))


def fail(point: str) -> None:
    """Let what waits for a share's server end with an error.

    It is unmounted if nobody uses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.umount2(os.fsencode(point), _UMOUNT_NOFOLLOW | _MNT_FORCE))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _main(act: str, path: str) -> int:
    try:
        {'read': read, 'unmount': unmount, 'forsake': forsake,
         'fail': fail, 'flush': flush}[act](path)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


if __name__ == '__main__':
    sys.exit(_main(*sys.argv[1:]))
