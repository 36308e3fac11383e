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

"""File systems whose making was interrupted, told from all other content.

mkfs.xfs writes first that it is at work. mkfs.ext4 writes the superblock
last; a mark behind the file system says until then that it is being made.
Another mark says the same of one that takes the place of an image.
"""

from collections.abc import Mapping
import os
import struct
import uuid as uuid_module

from nova_docker.privsep import written

#: What the file system leaves free at the end of its device.
TAIL = 64 << 10
_MARK = b'nova-docker makes a file system here: '
_REPLACED = b'nova-docker replaces an image here: '
#: The first bytes of a device, with the superblock of each kind made here.
_HEAD = _PAGE = 4096
#: Where ext4's superblock begins; boot loaders have what is before it.
_SUPERBLOCK = 1024
#: Inodes that a new ext4 has in use: its own ten, and lost+found.
_INODES = 11


def begin(device: str, uuid: uuid_module.UUID) -> None:
    """Mark a blank device, before anything else is written to it."""
    _write_tail(device, _MARK + uuid.bytes)


def begin_instead(device: str, uuid: uuid_module.UUID) -> None:
    """Mark a device with an image that a file system is to replace."""
    _write_tail(device, _REPLACED + uuid.bytes)


def is_instead(device: str, uuid: uuid_module.UUID) -> bool:
    """Tell whether an image, of which something may be left, is replaced."""
    mark = _REPLACED + uuid.bytes
    return _read(device, -TAIL, len(mark)) == mark


def end(device: str) -> None:
    """Take the mark away: the file system is whole."""
    _write_tail(device, b'')


def is_xfs(device: str, uuid: uuid_module.UUID,
           found: Mapping[str, str]) -> bool:
    """Tell whether the superblock says that mkfs.xfs is at work.

    https://docs.kernel.org/filesystems/xfs/index.html, struct xfs_dsb.

    :param uuid: what the file system was to have. It is the volume's alone:
        a copy, as of a snapshot, is another volume's, and so not unfinished.
    :param found: what libblkid finds, which knows where all kinds of content
        have their signatures
    """
    head = _read(device, 0, _HEAD)
    return not _is_foreign(uuid, found) and (
        head[:4], head[32:48], head[126:127]) == (b'XFSB', uuid.bytes, b'\1')


def is_ext4(device: str, uuid: uuid_module.UUID,
            found: Mapping[str, str]) -> bool:
    """Tell whether the device is marked, and nobody has used it since.

    As far as the first page and libblkid tell; see :func:`is_xfs`.
    """
    head, tail = _read(device, 0, _HEAD), _read(device, -TAIL, TAIL)
    return (not _is_foreign(uuid, found)
            and tail == (_MARK + uuid.bytes).ljust(TAIL, b'\0')
            and (not any(head[:2 * _SUPERBLOCK]) or _is_unused(head, uuid)))


def _is_foreign(uuid: uuid_module.UUID, found: Mapping[str, str]) -> bool:
    return bool(found) and (
        found.get('UUID') != str(uuid) or 'PTTYPE' in found)


def _is_unused(head: bytes, uuid: uuid_module.UUID) -> bool:
    """Whether it is an ext4 file system that nobody has mounted or filled.

    https://docs.kernel.org/filesystems/ext4/globals.html#super-block
    """
    def field(layout: str, offset: int) -> int:
        return int(struct.unpack_from(layout, head, _SUPERBLOCK + offset)[0])

    inodes, free, mounted, count, magic = (
        field('<I', 0x0), field('<I', 0x10), field('<I', 0x2c),
        field('<H', 0x34), field('<H', 0x38))
    # Newer ones have a file for the inodes of files that are deleted.
    used = _INODES + bool(field('<I', 0x280))
    return (magic == 0xef53 and mounted == count == 0
            and inodes - free <= used
            and head[_SUPERBLOCK + 0x68:][:16] == uuid.bytes)


def _read(device: str, start: int, length: int) -> bytes:
    """Read a piece; a start below zero counts from the end."""
    with written.opened(device) as content:
        return content.read(
            start if start >= 0 else max(content.size + start, 0), length)


def _write_tail(device: str, content: bytes) -> None:
    """Write a page, so that a sector is written as a whole or not at all."""
    with open(device, 'r+b', buffering=0) as file:
        file.seek(-TAIL, os.SEEK_END)
        file.write(content.ljust(_PAGE, b'\0'))
        os.fsync(file.fileno())
