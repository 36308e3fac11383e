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

"""What the commands share: rights, arguments, one cloud at a time."""

import argparse
from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import sys

from dockenstack.settings import Home

EPILOG = """\
The state is in /var/lib/dockenstack; the environment variable
DOCKENSTACK_HOME moves it."""


def parser(name: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f'contrib/dockenstack/{name}', description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)


def require_root() -> None:
    if os.geteuid():
        raise SystemExit('dockenstack must be run as root')


def lock_path(home: Home) -> pathlib.Path:
    return pathlib.Path('/run/lock') / f'{home.tag}.lock'


@contextlib.contextmanager
def alone(home: Home) -> Iterator[None]:
    """Keep two commands from changing the cloud at the same time.

    The lock goes with the process: a killed command leaves none.
    """
    path = lock_path(home)
    path.parent.mkdir(exist_ok=True)
    with path.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Waiting for another dockenstack command ...',
                  file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
