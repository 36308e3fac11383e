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

"""Sparse files on their way: archives in which holes take no room.

GNU tar reads and writes them: Python's can only read them, and would write
their holes as zeros.
"""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Sequence
import contextlib
import pathlib
import subprocess
import tempfile
from typing import Final
from typing import IO

#: Bytes that are read at a time.
_PIECE: Final = 1024 * 1024
#: Names are names, whatever they look like.
_PLAIN: Final = ('--no-wildcards', '--no-recursion', '--sparse')


class Failed(Exception):
    """tar ended with an error; its words are the message."""


def packed(directory: pathlib.Path, names: Sequence[str]
           ) -> Generator[bytes, None, None]:
    """Yield an archive of some files of a directory.

    :raises Failed: one of them could not be read
    """
    with _tar('--create', *_PLAIN, '--directory', str(directory), '--',
               *names, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        while piece := tar.stdout.read(_PIECE):
            yield piece


def unpack(directory: pathlib.Path, names: Sequence[str],
           pieces: Iterable[bytes]) -> None:
    """Write some files of an archive into a directory, sparse as they were.

    They belong to whoever calls. What else is in the archive is passed over.

    :param pieces: of the archive, read to the end
    :raises Failed: one of the files is not there, or could not be written
    """
    with _tar('--extract', *_PLAIN, '--no-same-owner', '--directory',
               str(directory), '--', *names, stdin=subprocess.PIPE) as tar:
        assert tar.stdin is not None
        for piece in pieces:
            tar.stdin.write(piece)


@contextlib.contextmanager
def _tar(*arguments: str, stdin: int = subprocess.DEVNULL,
         stdout: int = subprocess.DEVNULL
         ) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run tar meanwhile; it does not outlive this.

    :param stdin: as subprocess.Popen has it, as is the other
    :raises Failed: it did not end well
    """
    with tempfile.TemporaryFile() as words:
        tar = subprocess.Popen(('tar', *arguments), stdin=stdin, stdout=stdout,
                               stderr=words)
        whole = False
        try:
            yield tar
            if tar.stdin:
                tar.stdin.close()
            whole = True
        except BrokenPipeError:
            # It has ended, and said why.
            pass
        except BaseException:
            tar.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                tar.__exit__(None, None, None)
        if tar.returncode or not whole:
            raise Failed(_last(words) or f'tar ended with {tar.returncode}')


def _last(words: IO[bytes]) -> str:
    words.seek(0)
    lines = words.read().decode(errors='replace').splitlines()
    # The last one only says that there were others.
    return '; '.join(lines[:-1] or lines)
