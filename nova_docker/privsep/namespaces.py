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

"""Work inside a namespace of a container's process."""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import ctypes
import os
from typing import ParamSpec
from typing import TypeVar

P = ParamSpec('P')
T = TypeVar('T')

_CLONE_FS = 0x200
#: The kinds, as the kernel calls them.
NETWORK, MOUNT = 'net', 'mnt'

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def of_process(pid: int, kind: str = NETWORK) -> Iterator[int]:
    """Hold an open descriptor of a process's namespace.

    :raises ValueError: it is the one we are in ourselves. No container has
        it, so the number is wrong, and the host itself at stake.
    :raises ProcessLookupError: there is no such process any more
    :raises PermissionError: the process has more than we have
    """
    namespace = _open(pid, kind)
    try:
        # The main thread's, which never leaves it.
        own = os.stat(f'/proc/self/ns/{kind}')
        if os.path.samestat(os.fstat(namespace), own):
            raise ValueError(
                f"process {pid} is in the host's own {kind} namespace")
        yield namespace
    finally:
        os.close(namespace)


def run_in(
    namespace: int,
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Call a function inside a namespace.

    In a mount namespace it finds the container's files wherever it looks, so
    that it must not import anything, nor believe what it reads.

    A namespace belongs to a thread. This one is made for the call and ends
    with it, so that none of the daemon's is ever left in a wrong one.
    """
    def inside() -> T:
        _enter(namespace)
        return function(*args, **kwargs)

    with futures.ThreadPoolExecutor(1, 'namespace') as thread:
        return thread.submit(inside).result()


def _open(pid: int, kind: str) -> int:
    try:
        return os.open(f'/proc/{pid}/ns/{kind}', os.O_RDONLY)
    except FileNotFoundError:
        raise ProcessLookupError(f'no process {pid}') from None
    except PermissionError:
        # The sandbox runs as root without a capability, so no more than
        # ours are needed, unless its root is another user on the host.
        raise PermissionError(
            f'process {pid} may not be looked into. With an engine that '
            'remaps user namespaces add CAP_SYS_PTRACE to [docker_network_'
            'privileged] capabilities.') from None


def _enter(namespace: int) -> None:
    # Only for a mount namespace does it matter, and harm does it in none:
    # root and working directory are the thread's own from now on.
    _done(_libc.unshare(_CLONE_FS))
    _done(_libc.setns(namespace, 0))


def _done(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
