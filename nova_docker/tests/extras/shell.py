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

"""A shell that types a guide's commands one after the other."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import uuid


class Shell:
    """One bash, so that what a command sets is there for the next.

    :param directory: where it begins
    :param env: all of its environment
    :param command: what becomes the bash, if not that itself
    """

    def __init__(self, directory: pathlib.Path, env: Mapping[str, str],
                 *command: str) -> None:
        self._end = f'end-{uuid.uuid4().hex}'
        self._bash = subprocess.Popen(
            command or ('bash', '--noprofile', '--norc'),
            cwd=directory, env=dict(env),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace',
            start_new_session=True)
        assert self._bash.stdin and self._bash.stdout
        self._typed = self._bash.stdin
        self._said = self._bash.stdout

    def run(self, command: str, patience: float) -> tuple[int, str]:
        """Run a command; return its exit status, and all that it says.

        :param patience: seconds after which the shell is ended
        :raises AssertionError: if the shell has ended
        """
        self._typed.write(f'{{ {command}\n}} </dev/null\n'
                          f'printf "\\n{self._end} %d\\n" $?\n')
        self._typed.flush()
        said: list[str] = []
        guard = threading.Timer(patience, self._kill)
        guard.start()
        try:
            for line in self._said:
                if line.startswith(self._end):
                    return int(line.split()[1]), ''.join(said)
                said.append(line)
        finally:
            guard.cancel()
        raise AssertionError(f'the shell has ended: {"".join(said)}')

    def close(self) -> None:
        """End it, with what it has started; can be run again."""
        self._kill()
        for stream in (self._typed, self._said):
            with contextlib.suppress(OSError):
                stream.close()

    def _kill(self) -> None:
        if self._bash.poll() is None:
            os.killpg(self._bash.pid, signal.SIGKILL)
            self._bash.wait()
