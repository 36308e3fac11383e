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

"""A container that has just started enters a root file system of its own.

What the engine has mounted for it moves along, and so do all its processes,
and those that the engine starts in it later:
https://man7.org/linux/man-pages/man2/pivot_root.2.html
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import errno
import os
import select
import stat

from nova_docker import privsep
from nova_docker.privsep import blocks
from nova_docker.privsep import checks
from nova_docker.privsep import namespaces
from nova_docker.privsep import newroot
from nova_docker.privsep import programs

#: Milliseconds until it is looked again whether the gate reads, and how
#: often.
_PAUSE, _LOOKS = 5, 6000


class Refusal(Exception):
    """A file of the volume keeps it from being the root.

    On the way from the daemon an OSError loses its file's name.

    :param code: the number of the error
    :param path: of the file
    """

    def __init__(self, code: int, path: str) -> None:
        super().__init__(code, path)
        self.code = code
        self.path = path

    def __str__(self) -> str:
        return f'{self.path}: {os.strerror(self.code)}'


@privsep.root_pctxt.entrypoint
def enter(pid: int, source: str, target: str, left: Sequence[str],
          pipe: str, program: str, path: Sequence[str],
          workdir: str) -> bool:
    """Put a container's volume in the place of its root; let it go on.

    :param pid: the container's main process, which waits at the pipe
    :param source: the root file system, as this host has it
    :param target: where the container has it
    :param left: further places at which something is mounted and stays
    :param pipe: of the container's old root
    :param program: what it shall become: a path, or a name
    :param path: directories in which a name is looked for
    :param workdir: the program's working directory; made if it is missing
    :returns: False if the container has that root already
    :raises Refusal: it has no such program, or what is mounted can't have
        its place; ETIMEDOUT where the program, or its working directory, is
        on storage that does not answer
    :raises ProcessLookupError: the container has ended
    """
    checks.process(pid)
    checks.root_directory(source)
    with contextlib.ExitStack() as held, _named():
        ending = os.pidfd_open(pid)
        held.callback(os.close, ending)
        namespace = held.enter_context(
            namespaces.of_process(pid, namespaces.MOUNT))
        own = os.open('/proc', os.O_PATH | os.O_DIRECTORY)
        held.callback(os.close, own)
        words = namespaces.run_in(
            namespace, _enter, held, own, ending, os.stat(source), target,
            [target, *left], pipe)
        if words is None:
            return False
        found = programs.find(namespace, program, path, workdir,
                              blocks.SILENCE)
        os.write(words, b'%s\0%s\0' % (os.fsencode(workdir),
                                       os.fsencode(found)))
        return True


@privsep.root_pctxt.entrypoint
def is_waiting(pid: int, target: str) -> bool:
    """Tell whether a container has its volume beside its root still.

    No file system is touched.

    :param pid: the container's main process
    :param target: where the container has it until it is the root
    """
    checks.process(pid)
    try:
        with open(f'/proc/{pid}/mountinfo', 'rb') as table:
            return any(line.split(b' ')[4] == os.fsencode(target)
                       for line in table)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError as error:
        # It has ended, and nobody has taken note of that yet.
        if error.errno != errno.EINVAL:
            raise
        return False


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Let the name of a file come through to who is not root."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno is None:
            raise
        raise Refusal(error.errno, os.fsdecode(error.filename)) from error


def _enter(held: contextlib.ExitStack, own: int, ending: int,
           source: os.stat_result, target: str, stays: Sequence[str],
           pipe: str) -> int | None:
    """Have the volume as the root, inside the container.

    The old root is the driver's own and has no links.

    :returns: the pipe; None if it is the root already
    """
    if os.path.samestat(source, os.stat('/')):
        return None
    root = _opened(held, target, os.O_PATH | os.O_DIRECTORY)
    if not os.path.samestat(source, os.fstat(root)):
        raise OSError(errno.ENODEV, 'the volume is not in the container')
    words = _reached(held, own, pipe, ending)
    newroot.replace(held, own, root, target, stays)
    return words


def _reached(held: contextlib.ExitStack, own: int, pipe: str,
             ending: int) -> int:
    """Return the pipe once the gate reads from it.

    The engine says that a container has started a moment before that is so.

    :param own: the host's /proc
    """
    poll = select.poll()
    poll.register(ending, select.POLLIN)
    found = _opened(held, pipe, os.O_PATH)
    if not stat.S_ISFIFO(os.fstat(found).st_mode):
        # Of a device, no control group would keep us off.
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), pipe)
    for _look in range(_LOOKS):
        try:
            words = os.open(f'thread-self/fd/{found}', os.O_WRONLY
                            | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            held.callback(os.close, words)
            return words
        if poll.poll(_PAUSE):
            raise OSError(errno.ESRCH, 'the container has ended')
    raise OSError(errno.ETIMEDOUT, 'the container does not start')


def _opened(held: contextlib.ExitStack, path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return descriptor
