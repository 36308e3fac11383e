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

"""Acts on a device, known to all who want to do something with it.

A lock on the device says that one is under way. The programs that act have
it too: they go on when nova-compute, or its daemon, is killed, and so does
the lock, until the last of them has ended. Others have the same habit:
https://systemd.io/BLOCK_DEVICE_LOCKING
"""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import subprocess

from oslo_concurrency import processutils


@contextlib.contextmanager
def under_way(device: str) -> Iterator[int]:
    """Have the lock on a device, as a file descriptor.

    Its name is no other device's for as long.
    """
    descriptor = os.open(device, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_idle(descriptor: int) -> bool:
    """Tell whether no act is under way on an open device."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run(lock: int, *command: str) -> None:
    """Run a program that holds a lock until it ends.

    :raises ProcessExecutionError: with its words
    """
    done = subprocess.run(command, pass_fds=(lock,), text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise processutils.ProcessExecutionError(
            done.stdout, done.stderr, done.returncode, ' '.join(command))
