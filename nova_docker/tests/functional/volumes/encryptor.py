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

"""An encryptor of os-brick's kind, for a kernel without dm-crypt.

What was not written to a volume reads as noise, as it does through that. It
is decrypted to a file when it is attached, and encrypted again when it is
detached.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import random
import struct
import subprocess
from typing import Any

import fixtures
from os_brick.encryptors import base

from nova_docker.privsep import written

#: Of LUKS, before the ciphertext.
_HEADER = 2 << 20
_SECTOR = 512
_PIECE = 64 << 10
#: Of the file's name, behind that of the volume's.
_SUFFIX = '.decrypted'
#: What every piece is combined with. The same in each run: two bytes make a
#: magic number by chance.
KEY = bytearray(random.Random(1).randbytes(_PIECE))


class LuksEncryptor(base.VolumeEncryptor):
    """Leads the path that it is given to another device, as LUKS's does."""

    def __init__(self, root_helper: str, connection_info: dict[str, Any],
                 keymgr: Any, execute: Any = None, *args: Any,
                 **kwargs: Any) -> None:
        super().__init__(root_helper, connection_info, keymgr, execute,
                         *args, **kwargs)
        self._link = connection_info['data']['device_path']

    def attach_volume(self, context: Any, **kwargs: Any) -> None:
        """Make the other device, and lead the path to it."""
        device = os.path.realpath(self._link)
        with open(device, 'r+b', buffering=0) as volume:
            if volume.read(4) != b'LUKS':
                volume.seek(0)
                volume.write(header())
        shown = _run('losetup', '--find', '--show', decrypt(device)).strip()
        _run('ln', '--symbolic', '--force', shown, self._link)

    def detach_volume(self, **kwargs: Any) -> None:
        """Remove the other device."""
        shown = os.path.realpath(self._link)
        _run('sync', shown)
        device = _device(_file(shown))
        _run('losetup', '--detach', shown)
        encrypt(device)

    def extend_volume(self, context: Any, **kwargs: Any) -> None:
        """Let the other device grow with the first."""
        shown = os.path.realpath(self._link)
        file = _file(shown)
        _extend(_device(file), file)
        _run('losetup', '--set-capacity', shown)


#: What Nova says of a volume that it is for.
ENCRYPTION = {'provider': f'{__name__}.{LuksEncryptor.__name__}',
              'control_location': 'front-end', 'encryption_key_id': 'key'}


def header() -> bytes:
    """Return a header of LUKS: where the ciphertext begins, and no key."""
    return (b'LUKS\xba\xbe' + struct.pack('>H', 1)
            + b'aes'.ljust(32, b'\0') + b'xts'.ljust(32, b'\0')
            + b'sha256'.ljust(32, b'\0')
            + struct.pack('>I', _HEADER // _SECTOR))


def dm_crypt() -> fixtures.MockPatchObject:
    """Return a device mapper that knows of the other devices."""
    return fixtures.MockPatchObject(written, 'table', autospec=True,
                                    side_effect=_table)


def _table(device: str) -> str:
    file = _file(device)
    if file.suffix != _SUFFIX:
        return ''
    below = os.stat(_device(file)).st_rdev
    return (f'0 {file.stat().st_size // _SECTOR} crypt xor - 0 '
            f'{os.major(below)}:{os.minor(below)} {_HEADER // _SECTOR}\n')


@contextlib.contextmanager
def decrypted(device: str) -> Iterator[pathlib.Path]:
    """Have what is in a volume, to be changed, as a file."""
    yield decrypt(device)
    encrypt(device)


def decrypt(device: str) -> pathlib.Path:
    """Make a file of what is in a volume."""
    file = _file(device)
    shown = file.with_name(file.name + _SUFFIX)
    shown.touch()
    _extend(device, shown)
    return shown


def encrypt(device: str) -> None:
    """Take the file away; what has changed in it is in the volume then."""
    file = _file(device)
    shown = file.with_name(file.name + _SUFFIX)
    with shown.open('rb') as source, open(device, 'r+b',
                                          buffering=0) as volume:
        volume.seek(_HEADER)
        while piece := source.read(_PIECE):
            ciphertext = _combined(piece)
            if volume.read(len(piece)) != ciphertext:
                volume.seek(-len(piece), os.SEEK_CUR)
                volume.write(ciphertext)
        os.fsync(volume)
    shown.unlink()


def _extend(device: str, shown: pathlib.Path) -> None:
    """Decrypt what is not yet in the file."""
    with open(device, 'rb', buffering=0) as volume, shown.open('ab') as target:
        volume.seek(_HEADER + target.tell())
        while piece := volume.read(_PIECE):
            target.write(_combined(piece))


def _combined(piece: bytes) -> bytes:
    """Encrypt, or decrypt, a piece."""
    number = (int.from_bytes(piece, 'little')
              ^ int.from_bytes(KEY[:len(piece)], 'little'))
    return number.to_bytes(len(piece), 'little')


def _file(device: str) -> pathlib.Path:
    """Return what a loop device is of."""
    return pathlib.Path(_run('losetup', '--list', '--noheadings', '--output',
                             'BACK-FILE', device).strip())


def _device(shown: pathlib.Path) -> str:
    """Return the volume that is decrypted to a file."""
    return _run('losetup', '--list', '--noheadings', '--output', 'NAME',
                '--associated', shown.with_name(shown.stem)).strip()


def _run(*command: str | pathlib.Path) -> str:
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout
