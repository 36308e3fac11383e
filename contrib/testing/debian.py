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

"""Programs of this Debian machine, and how they come onto it."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import pathlib
import subprocess

import process

#: Seconds for one command.
PATIENCE = 1800
#: The system's own programs, whoever calls.
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def do(command: Sequence[str], env: Mapping[str, str],
       log: pathlib.Path) -> None:
    """Run one of the system's programs.

    :param log: what it says
    :raises RuntimeError: it failed
    """
    code = process.run(command, log, cwd=pathlib.Path('/'),
                       env={**env, 'PATH': PATH,
                            'DEBIAN_FRONTEND': 'noninteractive'},
                       timeout=PATIENCE)
    if code:
        raise RuntimeError(f'{command[0]} failed:\n{process.tail(log)}')


def install(packages: Iterable[str], env: Mapping[str, str],
            log: pathlib.Path) -> None:
    """Install what is missing of some packages.

    :raises RuntimeError: it could not be had
    """
    missing = [each for each in packages if not _is_installed(each)]
    if missing:
        do(('apt-get', 'update', '-q'), env, log)
        do(('apt-get', 'install', '-q', '-y', '--no-install-recommends',
            *missing), env, log)


def _is_installed(package: str) -> bool:
    found = subprocess.run(
        ['dpkg-query', '--show', '--showformat=${db:Status-Status}', package],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False)
    return found.stdout == 'installed'
