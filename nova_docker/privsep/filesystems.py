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

"""Privileged acts on file systems: found, made and grown."""

from collections.abc import Iterator
import errno
import hashlib
import os
import struct
from typing import TypeAlias
import uuid as uuid_module

from oslo_concurrency import processutils
from oslo_utils import units

from nova_docker import privsep
from nova_docker.privsep import acts
from nova_docker.privsep import blank
from nova_docker.privsep import checks
from nova_docker.privsep import unfinished
from nova_docker.privsep import written

#: blkid's exit codes.
_NOTHING, _AMBIVALENT = 2, 8
_EXT = ('ext2', 'ext3', 'ext4')
#: Bytes before ext4's superblock, and of it.
_SUPERBLOCK = 1024
_LABEL = 'nova-docker'
_PIECE = 4 * units.Mi

#: Bytes and MD5 digest.
Image: TypeAlias = tuple[int, str]


@privsep.mount_pctxt.entrypoint
def identify(device: str, uuid: str) -> dict[str, str]:
    """Return what libblkid finds on a device, by its own names.

    ``USAGE`` and ``TYPE`` of a file system, ``PTTYPE`` of a partition table.
    Nothing found is no proof that there is nothing.

    :param uuid: a file system of the driver's has this one; one that it has
        not finished is nothing
    """
    checks.block_device(device)
    found = _probe(device)
    is_none = (not found
               or unfinished.is_instead(device, uuid_module.UUID(uuid))
               or _is_unfinished(device, uuid, found)
               or _is_noise(device))
    return {} if is_none else found


@privsep.mount_pctxt.entrypoint
def is_blank(device: str) -> bool:
    """Tell whether there is nothing on a device, as far as it is read."""
    checks.block_device(device)
    return blank.is_blank(device)


@privsep.mount_pctxt.entrypoint
def make(device: str, fstype: str, uuid: str, image: Image | None = None
         ) -> bool:
    """Make a file system on a blank device.

    Or on one where that was begun, and interrupted.

    :param fstype: ext4 or xfs
    :param uuid: it gets this one
    :param image: bytes and MD5 digest of what it may take the place of
    :returns: False if the device is not blank; nothing is written then
    :raises ProcessExecutionError: with the words of mkfs
    """
    checks.block_device(device)
    if fstype not in ('ext4', 'xfs'):
        raise ValueError(f'not a file system to make: {fstype!r}')
    with acts.under_way(device) as lock:
        if not (blank.is_blank(device)
                or _is_unfinished(device, uuid, _probe(device))):
            return _make_instead(lock, device, fstype, uuid, image)
        if fstype == 'ext4':
            unfinished.begin(device, uuid_module.UUID(uuid))
        _make(lock, device, fstype, uuid)
        if fstype == 'ext4':
            unfinished.end(device)
    return True


def _make_instead(lock: int, device: str, fstype: str, uuid: str,
                  image: Image | None) -> bool:
    """Make a file system in the place of an image; False if it is none."""
    begun = uuid_module.UUID(uuid)
    if not (unfinished.is_instead(device, begun)
            or image is not None and _holds(device, *image)):
        return False
    unfinished.begin_instead(device, begun)
    size = os.lseek(lock, 0, os.SEEK_END) - unfinished.TAIL
    # The mark has to last as long as this does.
    _make(lock, device, fstype, uuid, '-d', f'size={size // units.Ki}k')
    unfinished.end(device)
    return True


def _holds(device: str, size: int, digest: str) -> bool:
    """Tell whether a device begins with bytes that have an MD5 digest."""
    found = hashlib.md5(usedforsecurity=False)
    with open(device, 'rb', buffering=0) as file:
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            found.update(piece)
            size -= len(piece)
    return size == 0 and found.hexdigest() == digest


@privsep.mount_pctxt.entrypoint
def grow(fstype: str, device: str, point: str) -> None:
    """Make a mounted file system as large as its device.

    :raises ProcessExecutionError: with the words of its tool
    """
    checks.block_device(device)
    checks.mount_point(point)
    if fstype in _EXT:
        processutils.execute('resize2fs', device)
    elif fstype == 'xfs':
        processutils.execute('xfs_growfs', '-d', point)
    elif fstype == 'btrfs':
        processutils.execute('btrfs', 'filesystem', 'resize', 'max', point)
    else:
        raise ValueError(f'{fstype} does not grow while it is mounted')


@privsep.mount_pctxt.entrypoint
def room(fstype: str, device: str, point: str) -> int:
    """Return how many bytes a device has that its file system does not use.

    Some are never used, and for a file system's own needs may be counted in.
    """
    checks.block_device(device)
    checks.mount_point(point)
    with open(device, 'rb') as file:
        size = file.seek(0, os.SEEK_END)
        if fstype in _EXT:
            file.seek(_SUPERBLOCK)
            return size - _size_of_ext(file.read(_SUPERBLOCK))
    figures = os.statvfs(point)
    return size - figures.f_blocks * figures.f_frsize


def _size_of_ext(superblock: bytes) -> int:
    """Return the bytes of a file system, with what its inodes take.

    https://docs.kernel.org/filesystems/ext4/globals.html#super-block
    """
    low, block, high = (
        int(struct.unpack_from('<I', superblock, offset)[0])
        for offset in (0x4, 0x18, 0x150))
    return (high << 32 | low) * (1024 << block)


def _probe(device: str) -> dict[str, str]:
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


def _is_noise(device: str) -> bool:
    """Tell whether nobody has written to a device that is encrypted.

    By chance that may look like anything.
    """
    return written.beneath(device) is not None and blank.is_blank(device)


def _is_unfinished(device: str, uuid: str, found: dict[str, str]) -> bool:
    begun = uuid_module.UUID(uuid)
    return (unfinished.is_xfs(device, begun, found)
            or unfinished.is_ext4(device, begun, found)
            and blank.is_blank(device, _pages_of_ext4(device, uuid)))


def _pages_of_ext4(device: str, uuid: str) -> frozenset[int]:
    """Return the numbers of the pages to which the driver writes.

    They are those of a file system of the same size, which is made in
    memory, and the mark.
    """
    with open(device, 'rb', buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
    model = os.memfd_create('ext4')
    try:
        os.ftruncate(model, size)
        _mkfs_ext4(model, f'/proc/self/fd/{model}', size, uuid)
        return frozenset((*_pages(model),
                          (size - unfinished.TAIL) // blank.PAGE))
    finally:
        os.close(model)


def _pages(file: int) -> Iterator[int]:
    """Yield the numbers of the pages of a file that are not holes in it."""
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield from range(start // blank.PAGE, -(-end // blank.PAGE))


def _make(lock: int, device: str, fstype: str, uuid: str,
          *of_xfs: str) -> None:
    if fstype == 'xfs':
        acts.run(lock, 'mkfs.xfs', '-q', '-f', '-L', _LABEL,
                 '-m', f'uuid={uuid}', *of_xfs, '--', device)
        return
    _mkfs_ext4(lock, device, os.lseek(lock, 0, os.SEEK_END), uuid)
    # Databases insist on an empty directory. fsck makes another if need be.
    acts.run(lock, 'debugfs', '-w', '-R', 'rmdir lost+found', device)


def _mkfs_ext4(lock: int, target: str, size: int, uuid: str) -> None:
    acts.run(lock, 'mkfs.ext4', '-q', '-F', '-m', '0', '-L', _LABEL,
             '-U', uuid, '-E', 'nodiscard', '--', target,
             f'{(size - unfinished.TAIL) // units.Ki}k')
