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

"""Finds what a container is to run, in a process of its own.

That may be on storage which hangs, where nobody but a process can be told to
wait no longer. So this file is also a program, with nothing but Python's own
modules. It must not import anything inside the container, nor believe what it
reads.
"""

from collections.abc import Sequence
import contextlib
import ctypes
import errno
import os
import stat
import subprocess
import sys


def find(namespace: int, program: str, path: Sequence[str], workdir: str,
         seconds: float) -> str:
    """Return where a container's program is, as the container has it.

    :param namespace: the container's mounts, as a descriptor
    :param program: a path, or a name
    :param path: directories in which a name is looked for
    :param workdir: where a relative path begins; made if it is missing
    :param seconds: that it may take
    :raises TimeoutError: it is on storage that does not answer
    :raises OSError: there is none, or the working directory can't be
    """
    process = subprocess.Popen(
        [sys.executable, '-I', '-S', __file__, str(namespace)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[namespace])
    try:
        output, _errors = process.communicate(
            b'\0'.join(map(os.fsencode, (workdir, program, *path))), seconds)
    except subprocess.TimeoutExpired:
        # Whoever waits for it would wait for the storage.
        process.kill()
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT),
                           program) from None
    if process.returncode:
        code = abs(process.returncode)
        raise OSError(code, os.strerror(code), *(
            [os.fsdecode(output)] if output else []))
    return os.fsdecode(output)


def _go_to(workdir: bytes) -> None:
    """Make the working directory, as far as it is missing, and enter it.

    However deep it is.
    """
    for part in workdir.split(b'/'):
        if part:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755)
            os.chdir(part)
    os.chdir(b'/')
    os.chdir(workdir)


def _found(program: bytes, path: Sequence[bytes]) -> bytes:
    """Return where a program is; a relative path begins at the present."""
    for each in ([program] if b'/' in program else
                 [os.path.join(directory, program) for directory in path]):
        with contextlib.suppress(OSError):
            mode = os.stat(each).st_mode
            if stat.S_ISREG(mode) and mode & 0o111:
                return each
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def _main(namespace: str) -> int:
    """Write where it is, or which file is at fault."""
    workdir, program, *path = sys.stdin.buffer.read().split(b'\0')
    setns = ctypes.CDLL(None, use_errno=True).setns
    try:
        if setns(int(namespace), 0) != 0:
            return ctypes.get_errno()
        _go_to(workdir)
        os.write(1, _found(program, path))
    except OSError as error:
        os.write(1, error.filename or b'')
        return error.errno or errno.EIO
    return 0


if __name__ == '__main__':
    sys.exit(_main(*sys.argv[1:]))
