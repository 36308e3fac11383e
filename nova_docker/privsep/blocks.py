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

"""Privileged acts on the block devices of volumes."""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import mmap
import os
import pathlib

from oslo_concurrency import processutils
from oslo_utils import units

from nova_docker import privsep
from nova_docker.privsep import acts
from nova_docker.privsep import apart
from nova_docker.privsep import checks

#: What is compared at once.
_PIECE = 16 * units.Ki
#: What is copied at once.
_CHUNK = 4 * units.Mi
#: linux/loop.h
_LOOP_CLR_FD = 0x4C01
_LOOPS = pathlib.Path('/sys/block')
#: Seconds after which storage that has not answered is said not to answer.
SILENCE = 30


@privsep.mount_pctxt.entrypoint
def copy(source: str, target: str) -> bool:
    """Copy every byte of a device, to which nobody writes, to another.

    Past all caches: neither old pages of the one are seen, nor are those of
    others displaced. What is zero on both is not written, so that storage
    which gives space when it is needed need not give it.

    :returns: whether the other one is larger
    :raises ValueError: it is smaller
    :raises OSError: they can't be read or written, or it is mounted
    """
    for device in (source, target):
        checks.block_device(device)
    with acts.under_way(target), _direct(
            source, os.O_RDONLY) as old, _direct(
            target, os.O_RDWR | os.O_EXCL) as new:
        size, room = (os.lseek(each, 0, os.SEEK_END) for each in (old, new))
        if room < size:
            raise ValueError(f'{room} bytes have no room for {size}')
        # O_DIRECT wants memory of whole pages.
        ours, theirs = mmap.mmap(-1, _CHUNK), mmap.mmap(-1, _CHUNK)
        for start in range(0, size, _CHUNK):
            length = min(_CHUNK, size - start)
            _copy(old, new, start, memoryview(ours)[:length],
                  memoryview(theirs)[:length])
        os.fsync(new)
    return room > size


@privsep.mount_pctxt.entrypoint
def attach_file(path: str) -> str:
    """Return a loop device of a file; the same one if it has one."""
    checks.plain_path(path)
    output, _errors = processutils.execute(
        'losetup', '--find', '--show', '--nooverlap', '--', path)
    return str(output.strip())


@privsep.mount_pctxt.entrypoint
def detach_file(path: str) -> None:
    """Let go of a file's loop device: now, or when it is unmounted.

    The file itself is not looked at: its server may be gone.
    """
    for loop in _LOOPS.glob('loop*'):
        with contextlib.suppress(FileNotFoundError):
            if _file_of(loop) == path:
                _let_go(loop, path)


@privsep.mount_pctxt.entrypoint
def is_attached(path: str) -> bool:
    """Tell whether a file has a loop device, without a look at the file."""
    for loop in _LOOPS.glob('loop*'):
        with contextlib.suppress(FileNotFoundError):
            if _file_of(loop) == path:
                return True
    return False


def _let_go(loop: pathlib.Path, path: str) -> None:
    """Detach a loop device that is, or was a moment ago, a file's.

    It may have ended since, and be another file's; while it is open it can't.
    """
    descriptor = os.open(f'/dev/{loop.name}', os.O_RDONLY)
    try:
        if _file_of(loop) == path:
            fcntl.ioctl(descriptor, _LOOP_CLR_FD)
    finally:
        os.close(descriptor)


def _file_of(loop: pathlib.Path) -> str:
    return (loop / 'loop/backing_file').read_text().strip('\n')


@privsep.mount_pctxt.entrypoint
def is_idle(device: str) -> bool:
    """Tell whether no act of a former nova-compute is under way."""
    checks.block_device(device)
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return acts.is_idle(descriptor)
    finally:
        os.close(descriptor)


@privsep.mount_pctxt.entrypoint
def is_free(device: str) -> bool:
    """Tell whether nothing is done with a device.

    It is mounted nowhere, and no file system is made on it; or it is gone.
    """
    if not os.path.exists(device):
        return True
    checks.block_device(device)
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_EXCL)
    except OSError as error:
        return error.errno != errno.EBUSY
    try:
        return acts.is_idle(descriptor)
    finally:
        os.close(descriptor)


@privsep.mount_pctxt.entrypoint
def responds(path: str) -> bool:
    """Tell whether a device, or a file, can be read, past all caches.

    It takes no longer than :data:`SILENCE`.

    :param path: or a link to it
    """
    return is_answering(path)


def is_answering(path: str) -> bool:
    """Tell the same, to who is root already"""
    try:
        apart.run('read', path, SILENCE)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _direct(device: str, flags: int) -> Iterator[int]:
    descriptor = os.open(device, flags | os.O_DIRECT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _copy(old: int, new: int, start: int, ours: memoryview,
          theirs: memoryview) -> None:
    """Copy a chunk, as far as the other device has not the same."""
    _read(old, start, ours)
    _read(new, start, theirs)
    for first, end in _differing(bytes(ours), bytes(theirs)):
        done = os.pwritev(new, [ours[first:end]], start + first)
        if done != end - first:
            raise OSError(errno.EIO, 'not all could be written')


def _differing(ours: bytes, theirs: bytes) -> Iterator[tuple[int, int]]:
    """Yield where two chunks differ, as offset and end, in whole pieces."""
    first: int | None = None
    for at in range(0, len(ours), _PIECE):
        if ours[at:at + _PIECE] != theirs[at:at + _PIECE]:
            first = at if first is None else first
        elif first is not None:
            yield first, at
            first = None
    if first is not None:
        yield first, len(ours)


def _read(device: int, start: int, buffer: memoryview) -> None:
    if os.preadv(device, [buffer], start) != len(buffer):
        raise OSError(errno.EIO, 'not all could be read')
