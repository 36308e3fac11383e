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

"""Run one program with its output in a log, and stop it with its children."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import pathlib
import signal
import subprocess

#: Seconds that a program gets between SIGTERM and SIGKILL.
GRACE = 30


class Interrupted(Exception):
    """The user, or the machine's CI, wants the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def raise_on_signals() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Interrupted`, once.

    A second signal does nothing, so that it can't break the cleaning up. It
    is handled rather than ignored: programs inherit what is ignored.
    """
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def handler(number: int, frame: object) -> None:
        for each in watched:
            signal.signal(each, lambda number, frame: None)
        raise Interrupted(number)

    for each in watched:
        signal.signal(each, handler)


def run(command: Sequence[str | os.PathLike[str]], log: pathlib.Path, *,
        env: Mapping[str, str], cwd: pathlib.Path,
        timeout: float | None = None) -> int:
    """Run a program to its end, appending all that it says to ``log``.

    :param timeout: seconds after which it is stopped, with its children.
    :returns: its exit status; 124, as timeout(1) has it, if it was stopped.
    """
    with log.open('ab') as output, started(
            command, output.fileno(), env=env, cwd=cwd) as process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            output.write(f'\n(stopped after {timeout} s)\n'.encode())
            return 124


@contextlib.contextmanager
def started(command: Sequence[str | os.PathLike[str]], output: int, *,
            env: Mapping[str, str], cwd: pathlib.Path,
            ) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a session of its own; stop what is left of it."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output,
        stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program of :func:`started`, and its process group with it."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def tail(log: pathlib.Path, lines: int = 100) -> str:
    """The last lines of a log, each indented."""
    if not log.exists():
        return ''
    last = log.read_text(errors='replace').splitlines()[-lines:]
    return '\n'.join(f'    {line}' for line in last)
