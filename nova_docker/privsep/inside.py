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

"""Files found below a directory as a process with that root would find them.

Whose files they are may have laid links: none leads out of the directory,
into another mount, or by way of another process.
"""

import contextlib
import ctypes
import os
import struct

# The newer system calls have one number on every machine.
_OPENAT2 = 437
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _IN_ROOT = 1, 2, 4, 16

_libc = ctypes.CDLL(None, use_errno=True)
# Looked up here: inside a container there is another libc.
_syscall = _libc.syscall


def open_below(held: contextlib.ExitStack, root: int, path: str, flags: int,
               links: bool = True, mounts: bool = False) -> int:
    """Open what a path leads to below a directory.

    :param root: the directory, as a descriptor
    :param links: follow those that stay inside
    :param mounts: go into those
    :raises OSError: ENOENT, or EXDEV, ELOOP where it may not go
    """
    resolve = (_IN_ROOT | _NO_MAGICLINKS | (0 if links else _NO_SYMLINKS)
               | (0 if mounts else _NO_XDEV))
    how = struct.pack('QQQ', flags | os.O_CLOEXEC, 0, resolve)
    file: int = _syscall(_OPENAT2, root, os.fsencode(path.lstrip('/') or '.'),
                         how, len(how))
    if file < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    held.callback(os.close, file)
    return file
