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

"""Run commands into a log, write files whole, and wait for conditions."""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import contextvars
import hashlib
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

Arguments = Sequence[str | os.PathLike[str]]

# The log of the stage that runs; each stage has a thread, so a context.
_log: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar(
    'log', default=None)


class Failure(Exception):
    """Something that the user must read; `log` says where to read on."""

    def __init__(self, message: str, log: pathlib.Path | None = None):
        super().__init__(message)
        self.log = log


@contextlib.contextmanager
def logging_to(path: pathlib.Path) -> Iterator[None]:
    """Send the output of `run` in this thread to a fresh file."""
    path.write_text('')
    token = _log.set(path)
    try:
        yield
    finally:
        _log.reset(token)


def clean_environment(**extra: str) -> dict[str, str]:
    """Our environment without what would change how Python or a tool works.

    PYTHONDONTWRITEBYTECODE and its like come from developers' shells, OS_*
    from an `openrc` sourced before.
    """
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(('PYTHON', 'OS_', 'VIRTUAL_ENV'))}
    return {**kept, 'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8', **extra}


def run(*command: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        check: bool = True, good: Container[int] = (0,),
        **options: Any) -> int:
    """Run a command, its output into the stage's log; give its status.

    :raises Failure: the status is not a good one, and is checked
    """
    log = _log.get()
    words = ' '.join(os.fspath(word) for word in command)
    with open(log or os.devnull, 'ab', buffering=0) as output:
        output.write(f'$ {words}\n'.encode())
        options.setdefault('stdin', subprocess.DEVNULL)
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT,
            env=clean_environment() if env is None else env, **options)
    if check and done.returncode not in good:
        raise Failure(f'`{words[:200]}` ended with {done.returncode}', log)
    return done.returncode


def note(text: str) -> None:
    """Add a line of ours to the stage's log."""
    log = _log.get()
    if log:
        with log.open('a') as output:
            output.write(text + '\n')
    else:
        print(text, file=sys.stderr)


def read(*command: str | os.PathLike[str], check: bool = True,
         env: Mapping[str, str] | None = None) -> str:
    """The standard output of a command."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=clean_environment() if env is None else env)
    if check and done.returncode:
        words = ' '.join(os.fspath(word) for word in command)
        raise Failure(f'`{words}` ended with {done.returncode}: '
                      f'{done.stderr.strip()[-500:]}', _log.get())
    return done.stdout


def write(path: pathlib.Path, text: str, mode: int = 0o644,
          group: int = 0) -> None:
    """Put a file in place whole or not at all, with its owner and mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.new')
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, 'w') as output:
        output.write(text)
    os.chown(draft, 0, group)
    draft.chmod(mode)
    draft.replace(path)


def digest(*parts: str | bytes | pathlib.Path) -> str:
    """A hash of texts and of the content of files (missing ones too)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, pathlib.Path):
            part = part.read_bytes() if part.is_file() else b'missing'
        data = part.encode() if isinstance(part, str) else part
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()


def wait_until(condition: Callable[[], Any], seconds: float, what: str,
               pause: float = 0.2) -> Any:
    """Poll until the condition holds and give its value, or fail."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failure(f'{what} within {seconds:.0f} s', _log.get())
        time.sleep(pause)
    return value
