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

"""Tells what a stream is, so that a wrong image is refused by name."""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
from typing import Final

from nova_docker.images import compression
from nova_docker.images import limits
from nova_docker.images import tarstream

#: Where, what, and how it is called. The first that fits counts.
_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b'QFI\xfb', 'a QCOW disk image'),
    (0, b'KDMV', 'a VMDK disk image'),
    (0, b'# Disk DescriptorFile', 'a VMDK disk image'),
    (0, b'vhdxfile', 'a VHDX disk image'),
    (0, b'conectix', 'a VHD disk image'),
    (64, b'\x7f\x10\xda\xbe', 'a VDI disk image'),
    (0x8001, b'CD001', 'an ISO 9660 image'),
    (0, b'hsqs', 'a squashfs file system'),
    (0x438, b'\x53\xef', 'an ext2, ext3 or ext4 file system'),
    (0, b'\x7fELF', 'an ELF program'),
    (0, b'\xfd7zXZ\0', 'compressed with xz, and only gzip and zstd are known'),
    (0, b'BZh', 'compressed with bzip2, and only gzip and zstd are known'),
    (0, b'PK\x03\x04', 'a ZIP archive'),
    (0, b"7z\xbc\xaf'\x1c", 'a 7-Zip archive'),
    (0, compression.GZIP, 'compressed twice'),
    (0, compression.ZSTD, 'compressed twice'),
    (0, b'<!doctype', 'an HTML page'),
    (0, b'<html', 'an HTML page'),
    (510, b'\x55\xaa', 'a disk image with a boot sector'),
)
_ENOUGH: Final = max(at + len(magic) for at, magic, _what in _SIGNATURES)


def is_tar(head: bytes) -> bool:
    """Tell if a stream of this beginning is a tar archive.

    :param head: its first 512 bytes
    """
    block = head[:tarstream.BLOCK]
    if len(block) < tarstream.BLOCK:
        return False
    if not any(block):
        # An archive without members is nothing but its end.
        return True
    try:
        tarstream.decode(block)
    except limits.Unacceptable:
        return False
    return True


def describe(head: bytes) -> str:
    """Say what a stream is that is no tar archive.

    :param head: its first bytes
    """
    if not head:
        return 'empty'
    lower = head[:16].lower()
    for at, magic, what in _SIGNATURES:
        if head.startswith(magic, at) or (at == 0 and lower.startswith(magic)):
            return what
    return 'no tar archive'


def tar_only(chunks: Iterable[compression.Data]) -> Iterator[compression.Data]:
    """Yield a stream as it is.

    :raises Unacceptable: when it is no tar archive
    """
    stream = iter(chunks)
    head = b''
    # The boot sector's place is zero in most tar archives, so look for a tar
    # header first.
    while len(head) < tarstream.BLOCK and (chunk := next(stream, b'')):
        head += chunk
    if not is_tar(head):
        while len(head) < _ENOUGH and (chunk := next(stream, b'')):
            head += chunk
        raise limits.Unacceptable(f'it is {describe(head)}')
    return itertools.chain([head], stream)
