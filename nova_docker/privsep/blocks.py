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
import io
import mmap
import os
import re
import uuid as uuid_module

from oslo_concurrency import processutils
from oslo_utils import units

from nova_docker import privsep
from nova_docker.privsep import acts
from nova_docker.privsep import checks
from nova_docker.privsep import unfinished

#: blkid's exit codes.
_NOTHING, _AMBIVALENT = 2, 8
#: A device of this size is read whole before it is taken for blank. Of a
#: larger one the two ends are, which is where signatures are, and so many
#: pieces between them.
_WHOLE = 64 * units.Mi
_END = 16 * units.Mi
_PIECES, _PIECE = 512, 16 * units.Ki
_ZEROS = bytes(units.Mi)
_PAGE = 4096
#: What is copied at once.
_CHUNK = 4 * units.Mi
_LABEL = 'nova-docker'
_LOOP = re.compile('/dev/loop[0-9]+')


@privsep.mount_pctxt.entrypoint
def identify(device: str, uuid: str) -> dict[str, str]:
    """Return what libblkid finds on a device, by its own names.

    ``USAGE`` and ``TYPE`` of a file system, ``PTTYPE`` of a partition table.
    Nothing found is no proof that there is nothing.

    :param uuid: a file system of the driver's has this one; one that it has
        not finished is nothing
    """
    checks.block_device(device)
    if unfinished.is_unfinished(device, _bytes(uuid)):
        return {}
    try:
        output, _errors = processutils.execute(
            'blkid', '--probe', '--output', 'export', '--', device)
    except processutils.ProcessExecutionError as error:
        if error.exit_code == _NOTHING:
            return {}
        if error.exit_code == _AMBIVALENT:
            return {'TYPE': 'several signatures'}
        raise
    return dict(line.split('=', 1) for line in output.splitlines()
                if '=' in line)


@privsep.mount_pctxt.entrypoint
def make_file_system(device: str, fstype: str, uuid: str) -> bool:
    """Make a file system on a blank device.

    Or on one where that was begun, and interrupted.

    :param fstype: ext4 or xfs
    :param uuid: it gets this one
    :returns: False if the device is not blank; nothing is written then
    :raises ProcessExecutionError: with the words of mkfs
    """
    checks.block_device(device)
    if fstype not in ('ext4', 'xfs'):
        raise ValueError(f'not a file system to make: {fstype!r}')
    with acts.under_way(device) as lock:
        if not (_is_blank(device)
                or unfinished.is_unfinished(device, _bytes(uuid))):
            return False
        if fstype == 'xfs':
            acts.run(lock, 'mkfs.xfs', '-q', '-f', '-L', _LABEL,
                     '-m', f'uuid={uuid}', '--', device)
        else:
            _make_ext4(lock, device, uuid)
    return True


def _make_ext4(lock: int, device: str, uuid: str) -> None:
    unfinished.begin(device, _bytes(uuid))
    size = os.lseek(lock, 0, os.SEEK_END) - unfinished.TAIL
    acts.run(lock, 'mkfs.ext4', '-q', '-F', '-m', '0', '-L', _LABEL,
             '-U', uuid, '-E', 'nodiscard', '--', device,
             f'{size // units.Ki}k')
    # Databases insist on an empty directory. fsck makes another if need be.
    acts.run(lock, 'debugfs', '-w', '-R', 'rmdir lost+found', device)
    unfinished.end(device)


@privsep.mount_pctxt.entrypoint
def grow(fstype: str, device: str, point: str) -> None:
    """Make a mounted file system as large as its device.

    :raises ProcessExecutionError: with the words of its tool
    """
    checks.block_device(device)
    checks.mount_point(point)
    if fstype in ('ext2', 'ext3', 'ext4'):
        processutils.execute('resize2fs', device)
    elif fstype == 'xfs':
        processutils.execute('xfs_growfs', '-d', point)
    elif fstype == 'btrfs':
        processutils.execute('btrfs', 'filesystem', 'resize', 'max', point)
    else:
        raise ValueError(f'{fstype} does not grow while it is mounted')


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
    """Let go of a file's loop device: now, or when it is unmounted."""
    checks.plain_path(path)
    output, _errors = processutils.execute(
        'losetup', '--noheadings', '--output', 'NAME', '--associated', path)
    for device in output.split():
        if _LOOP.fullmatch(device):
            processutils.execute('losetup', '--detach', device)


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
def responds(device: str) -> bool:
    """Tell whether a device can be read, past all caches."""
    if not os.path.exists(device):
        return False
    checks.block_device(device)
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    try:
        # O_DIRECT wants memory of whole pages.
        with mmap.mmap(-1, _PAGE) as page:
            return os.preadv(descriptor, [page], 0) > 0
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _bytes(text: str) -> bytes:
    return uuid_module.UUID(text).bytes


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


def _is_blank(device: str) -> bool:
    with open(device, 'rb', buffering=0) as file:
        size = file.seek(0, io.SEEK_END)
        return all(_is_zero(file, start, length)
                   for start, length in _samples(size))


def _samples(size: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces, as offset and length, that are looked at."""
    if size <= _WHOLE:
        yield 0, size
        return
    yield 0, _END
    yield size - _END, _END
    step = (size - 2 * _END) // _PIECES
    for number in range(_PIECES):
        # Whole pages, where file systems have theirs.
        yield (_END + number * step) // _PAGE * _PAGE, _PIECE


def _is_zero(file: io.FileIO, start: int, length: int) -> bool:
    file.seek(start)
    while length:
        piece = file.read(min(length, len(_ZEROS)))
        if not piece:
            return True
        if piece != _ZEROS[:len(piece)]:
            return False
        length -= len(piece)
    return True
