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

"""PURE: from machine code to a program, and to an image with nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import io
import struct
import tarfile

_ELF_HEADER, _PROGRAM_HEADER, _LOAD_ADDRESS = 64, 56, 0x400000


def executable(machine: int, code: bytes) -> bytes:
    """Return a static ELF executable, which starts at its first byte.

    :param machine: as ELF numbers them
    :param code: it can be at any address, and is not written to
    """
    offset = _ELF_HEADER + _PROGRAM_HEADER
    size = offset + len(code)
    identification = b'\x7fELF' + bytes([2, 1, 1]) + bytes(9)
    header = identification + struct.pack(
        '<HHIQQQIHHHHHH', 2, machine, 1, _LOAD_ADDRESS + offset, _ELF_HEADER,
        0, 0, _ELF_HEADER, _PROGRAM_HEADER, 1, 0, 0, 0)
    segment = struct.pack('<IIQQQQQQ', 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS,
                          size, size, 0x1000)
    return header + segment + code


def archive(programs: Mapping[str, bytes],
            pipes: Sequence[str] = ()) -> bytes:
    """Return a tar of programs, and of pipes that everybody can read."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as tar:
        for name, program in programs.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(program)
            tar.addfile(member, io.BytesIO(program))
        for name in pipes:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.FIFOTYPE, 0o644
            tar.addfile(member)
    return packed.getvalue()
