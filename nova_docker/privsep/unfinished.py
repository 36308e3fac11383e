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
"""

import os
import struct

#: What the file system leaves free at the end of its device.
TAIL = 64 << 10
_MARK = b'nova-docker makes a file system here: '
#: The first bytes of a device, with the superblock of every kind.
_HEAD = 4096
#: Where ext4's superblock begins; boot loaders have what is before it.
_SUPERBLOCK = 1024


def begin(device: str, uuid: bytes) -> None:
    """Mark a blank device, before anything else is written to it."""
    _write_tail(device, _MARK + uuid)


def end(device: str) -> None:
    """Take the mark away: the file system is whole."""
    _write_tail(device, bytes(len(_MARK) + 16))


def is_unfinished(device: str, uuid: bytes) -> bool:
    """Tell whether the driver began to make a file system, and no more.

    :param uuid: what the file system was to have
    """
    with open(device, 'rb', buffering=0) as file:
        head = file.read(_HEAD)
        file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
        marked = file.read(len(_MARK) + len(uuid)) == _MARK + uuid
    return _is_xfs(head, uuid) or marked and (
        not any(head[:2 * _SUPERBLOCK]) or _is_unused(head, uuid))


def _is_xfs(head: bytes, uuid: bytes) -> bool:
    """Whether the superblock says that mkfs.xfs is at work.

    https://docs.kernel.org/filesystems/xfs/index.html, struct xfs_dsb.
    """
    return (head[:4], head[32:48], head[126:127]) == (b'XFSB', uuid, b'\1')


def _is_unused(head: bytes, uuid: bytes) -> bool:
    """Whether it is an ext4 file system that nobody has ever mounted.

    https://docs.kernel.org/filesystems/ext4/globals.html#super-block
    """
    mounted, _written, count, _maximum, magic = struct.unpack_from(
        '<IIHHH', head, _SUPERBLOCK + 0x2c)
    return (magic == 0xef53 and mounted == count == 0
            and head[_SUPERBLOCK + 0x68:][:16] == uuid)


def _write_tail(device: str, content: bytes) -> None:
    with open(device, 'r+b', buffering=0) as file:
        file.seek(-TAIL, os.SEEK_END)
        file.write(content)
        os.fsync(file.fileno())
