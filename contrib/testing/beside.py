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

"""Run jobs at the same time, each but the first in a process of its own."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import ctypes
import multiprocessing
from multiprocessing.connection import Connection
import os
import signal
from typing import TypeVar

import process

Result = TypeVar('Result')

# What a job has to use is in this process, ready.
_FORK = multiprocessing.get_context('fork')

_PR_SET_PDEATHSIG = 1


def run(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run jobs beside each other, the first of them here.

    A job here that is interrupted, or fails, ends the others, and waits until
    they have cleaned up. If this process is killed they do so, too.

    :param jobs: what they return is pickled
    :returns: that, in their order
    :raises RuntimeError: if a job's process ended without a result
    """
    with contextlib.ExitStack() as others:
        waits = [others.enter_context(_started(job)) for job in jobs[1:]]
        return [jobs[0](), *(wait() for wait in waits)]


@contextlib.contextmanager
def _started(job: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    receiver, sender = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_tell, args=(
        job, sender, os.getpid()))
    child.start()
    sender.close()

    def wait() -> Result:
        try:
            result: Result = receiver.recv()
        except EOFError:
            child.join()
            raise RuntimeError('a process of the tests ended with '
                               f'{child.exitcode}') from None
        return result

    try:
        yield wait
    except BaseException:
        child.terminate()
        raise
    finally:
        child.join()
        receiver.close()


def _tell(job: Callable[[], Result], sender: Connection,
          parent: int) -> None:
    # Its parent says that it was interrupted.
    with contextlib.suppress(process.Interrupted):
        _end_with(parent)
        sender.send(job())


def _end_with(parent: int) -> None:
    """Have the kernel interrupt this process when its parent is killed.

    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG,
                            ctypes.c_ulong(signal.SIGTERM))
    # It may be gone already.
    if os.getppid() != parent:
        signal.raise_signal(signal.SIGTERM)
