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

"""Makes files that are a tar archive and compressed data at once.

A tar header begins with 100 bytes of name, which is room for the beginning of
another format.
"""

import lzma
import zlib

from nova_docker.images import tarstream
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import test_tarstream as raw


def _archive(name: bytes, data: bytes) -> bytes:
    return (raw.header(name=name, size=b'%011o' % len(data)) + data
            + tarstream.padding(len(data)) + tarstream.END)


def _skippable(size: int) -> bytes:
    """Return the head of a zstd frame of anything."""
    return b'P*M\x18' + size.to_bytes(4, 'little')


def zstd(payload: bytes) -> bytes:
    """Return an archive of one file that zstd unpacks to something else.

    https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2
    """
    packed = archives.zstd(payload)
    rest = tarstream.padding(len(packed) + 8) + tarstream.END
    # The rest of the tar header is in one such frame, the padding in another.
    return _archive(_skippable(tarstream.BLOCK - 8),
                    packed + _skippable(len(rest)))


def _sealed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, 'little')


def _varied(number: int) -> bytes:
    """Return a number as xz writes it, seven bits to a byte."""
    found = bytearray()
    while number > 0x7f:
        found.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes([*found, number])


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def xz(payload: bytes) -> bytes:
    """Return an archive of one file that xz unpacks to something else.

    What is left of the tar header comes first in it.
    https://tukaani.org/xz/xz-file-format.txt
    """
    start = b'\xfd7zXZ\0' + _sealed(b'\0\0')
    block = _sealed(b'\x02\0\x21\x01\x16\0\0\0')
    left = tarstream.BLOCK - len(start) - len(block) - 3
    packed = lzma.compress(payload, lzma.FORMAT_RAW, filters=[
        {'id': lzma.FILTER_LZMA2, 'preset': 1}])
    unpadded = tarstream.BLOCK - len(start) + len(packed)
    index = _sealed(_aligned(b'\0\x01' + _varied(unpadded)
                             + _varied(left + len(payload))))
    sizes = (len(index) // 4 - 1).to_bytes(4, 'little') + b'\0\0'
    end = zlib.crc32(sizes).to_bytes(4, 'little') + sizes + b'YZ'
    # A chunk that is not compressed takes what is left of the tar header.
    name = start + block + b'\x01' + (left - 1).to_bytes(2, 'big')
    return _archive(name, _aligned(packed) + index + end)
