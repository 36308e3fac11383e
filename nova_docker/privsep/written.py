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

"""What somebody has written to a block device; all else is zeros.

Of a device that dm-crypt decrypts, what nobody has written to reads as noise:
below, it is zeros, and no ciphertext of a whole sector ever is.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import io
import mmap
import os

from oslo_concurrency import processutils
from oslo_utils import units

#: Of the kernel's device numbers, names and kinds.
_DEVICES = '/sys/dev/block'
#: In which device mapper counts, and dm-crypt encrypts, or more.
_SECTOR = 512
#: What devices are read in, past the caches too.
_UNIT = 4096
_MOST = units.Mi
_ZEROS = bytes(_MOST)


class Ciphertext:
    """What is below a decrypted device, read past all caches.

    They do not know what dm-crypt has written.

    :param device: that it is on
    :param offset: of its first byte
    """

    def __init__(self, device: str, offset: int) -> None:
        self._offset = offset
        self._file = os.open(device, os.O_RDONLY | os.O_DIRECT)
        # O_DIRECT wants memory of whole pages.
        self._buffer = memoryview(mmap.mmap(-1, _MOST))

    def read(self, start: int, length: int) -> bytes:
        """Return a piece.

        :raises OSError: it could not be read
        """
        buffer = self._buffer[:length]
        if os.preadv(self._file, [buffer], self._offset + start) != length:
            raise OSError(errno.EIO, 'not all could be read')
        return bytes(buffer)

    def close(self) -> None:
        """Let go of the device."""
        os.close(self._file)


class Content:
    """What was written to a device.

    :param shown: the device, open
    :param below: what it is decrypted from, if it is
    """

    def __init__(self, shown: io.FileIO, below: Ciphertext | None) -> None:
        self.size = shown.seek(0, os.SEEK_END)
        self._shown = shown.fileno()
        self._below = below

    def read(self, start: int, length: int) -> bytes:
        """Return a piece; one that reaches over the end is shorter.

        :param start: a multiple of the device's blocks
        :param length: 1 MiB at most
        """
        found = os.pread(self._shown, -(-length // _UNIT) * _UNIT, start)
        if self._below is not None and found != _ZEROS[:len(found)]:
            found = _but_noise(found, self._below.read(start, len(found)))
        return found[:length]


@contextlib.contextmanager
def opened(device: str) -> Iterator[Content]:
    """Have what was written to a device."""
    with open(device, 'rb', buffering=0) as shown:
        found = beneath(device)
        if found is None:
            yield Content(shown, None)
            return
        # What is only in its cache has no ciphertext yet.
        os.fsync(shown)
        with contextlib.closing(Ciphertext(*found)) as below:
            yield Content(shown, below)


def beneath(device: str) -> tuple[str, int] | None:
    """Return what dm-crypt decrypts as a device, and from which byte on.

    None if it is no such device. Through dm-integrity, what was not written
    can't be read.
    """
    entries = table(device).splitlines()
    fields = entries[0].split() if len(entries) == 1 else []
    # https://docs.kernel.org/admin-guide/device-mapper/dm-crypt.html, behind
    # start, length and kind.
    if fields[2:3] != ['crypt'] or any(
            each.startswith('integrity:') for each in fields[8:]):
        return None
    name = os.path.basename(os.path.realpath(f'{_DEVICES}/{fields[6]}'))
    return f'/dev/{name.replace("!", "/")}', int(fields[7]) * _SECTOR


def table(device: str) -> str:
    """Return what device mapper makes a device of; nothing if it doesn't."""
    number = os.stat(device).st_rdev
    major, minor = os.major(number), os.minor(number)
    if not os.path.exists(f'{_DEVICES}/{major}:{minor}/dm'):
        return ''
    output, _errors = processutils.execute(
        'dmsetup', 'table', '--major', str(major), '--minor', str(minor))
    return str(output)


def _but_noise(shown: bytes, ciphertext: bytes) -> bytes:
    """Return the shown bytes, with zeros where no ciphertext is."""
    if ciphertext == _ZEROS[:len(ciphertext)]:
        return ciphertext
    found = io.BytesIO(shown)
    for at in range(0, len(shown), _SECTOR):
        sector = ciphertext[at:at + _SECTOR]
        if sector == _ZEROS[:len(sector)]:
            found.seek(at)
            found.write(sector)
    return found.getvalue()
