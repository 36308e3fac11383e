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

"""The copies of a checkpoint that containerd makes, and leaves.

To restore a container it unpacks the checkpoint into a new directory, which
nobody removes, in any release so far: ``Create`` of
https://github.com/containerd/containerd/blob/v1.7.27/services/tasks/local.go
"""

from collections.abc import Iterator
import contextlib
import functools
import os
import pathlib
import re
import stat

from nova_docker import errors
from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import inside

_PROC = pathlib.Path('/proc')
_COPY = re.compile(r'ctrd-checkpoint[0-9]+')
#: What comes before it, in the order of names, and so in that in which files
#: are unpacked, has each process's registers and the container's id.
_TELLING = 'inventory.img'
#: Bytes of each file that are read; their memory may be large.
_HEAD = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@privsep.root_pctxt.entrypoint
def remove_copies(checkpoint: str) -> int:
    """Remove the copies of a checkpoint that are on this host.

    Whatever else has such a name stays: a link, a directory of another user,
    and the copy of another checkpoint, which may be in use.

    :param checkpoint: the directory in which the engine keeps it
    :returns: how many there were
    :raises OSError: one can't be removed; the others are
    """
    removed: list[str] = []
    with contextlib.ExitStack() as held:
        original = os.open(checks.checkpoint(checkpoint), _DIRECTORY)
        held.callback(os.close, original)
        errors.take_all(*(
            functools.partial(_remove_from, directory, original, removed)
            for directory in _directories(held)))
    return len(removed)


def _directories(held: contextlib.ExitStack) -> Iterator[int]:
    """Yield where each containerd of this host makes copies, open."""
    for process in _PROC.glob('[0-9]*'):
        # It may end at any time, or have none.
        with contextlib.suppress(OSError):
            if _is_containerd(process):
                root = os.open(process / 'root', os.O_PATH)
                held.callback(os.close, root)
                yield inside.open_below(
                    held, root, _temporary(process),
                    os.O_RDONLY | os.O_DIRECTORY, mounts=True)


def _is_containerd(process: pathlib.Path) -> bool:
    """Tell whether it is one, and not a tenant's that is called the same.

    By its program's own name: by a link anybody may give another one to a
    program that root's rights come with, and choose its environment.
    """
    program = os.path.basename(os.readlink(process / 'exe'))
    # One that was upgraded runs on.
    return (program.removesuffix(' (deleted)') == 'containerd'
            and process.stat().st_uid == os.geteuid()
            and os.readlink(process / 'ns/pid') == os.readlink(
                _PROC / 'self/ns/pid'))


def _temporary(process: pathlib.Path) -> str:
    """Return where it makes them: https://pkg.go.dev/os#MkdirTemp."""
    given = dict(each.partition(b'=')[::2] for each in (
        process / 'environ').read_bytes().split(b'\0'))
    return os.fsdecode(given.get(b'XDG_RUNTIME_DIR') or given.get(b'TMPDIR')
                       or b'/tmp')


def _remove_from(directory: int, original: int, removed: list[str]) -> None:
    errors.take_all(*(
        functools.partial(_remove, directory, name, original, removed)
        for name in filter(_COPY.fullmatch, os.listdir(directory))))


def _remove(directory: int, name: str, original: int,
            removed: list[str]) -> None:
    """Remove what has such a name if it is a copy."""
    with contextlib.ExitStack() as held:
        try:
            copy = inside.open_below(
                held, directory, name, _DIRECTORY, links=False)
        except OSError:
            # Anybody may have made it: a link, a file, a mount whose server
            # does not answer.
            return
        # Another one's may be removed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if _is_copy(copy, original):
                # The last first: what a kill leaves is a copy still.
                for file in sorted(os.listdir(copy), reverse=True):
                    os.unlink(file, dir_fd=copy)
                os.rmdir(name, dir_fd=directory)
                removed.append(name)


def _is_copy(copy: int, original: int) -> bool:
    """Tell whether it has what the checkpoint has, or began to.

    With a full disk it ends in the midst of a file.
    """
    if os.fstat(copy).st_uid != os.fstat(original).st_uid:
        return False
    names, whole = sorted(os.listdir(copy)), sorted(os.listdir(original))
    return (_TELLING in names and names == whole[:len(names)]
            and all(_is_same(copy, original, name) for name in names[:-1])
            and _is_same(copy, original, names[-1], whole=False))


def _is_same(copy: int, original: int, name: str, whole: bool = True) -> bool:
    (size, head), (full, beginning) = _file(copy, name), _file(original, name)
    return ((size == full or size < full and not whole)
            and beginning.startswith(head))


def _file(directory: int, name: str) -> tuple[int, bytes]:
    """Return the size of a file, and how it begins; -1 if it is none."""
    figures = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(figures.st_mode):
        return -1, b'no file'
    # It may have become a pipe since.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(name, flags, dir_fd=directory), 'rb',
              buffering=0) as file:
        return figures.st_size, file.read(_HEAD)
