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

"""The virtual environment: OpenStack, Tempest and the test tools, locked."""

import os
import pathlib
import shutil

from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

PYTHON = '/usr/bin/python3'


def build(home: Home) -> str:
    """Have the environment that lock.txt describes."""
    lock = home.project / 'lock.txt'
    stamp = Stamp(home, 'venv')
    wanted = shell.digest(lock, str(home.venv))
    if stamp.holds(wanted):
        return 'as locked'
    # Half of an old one and half of a new one would be neither.
    stamp.clear()
    shutil.rmtree(home.venv, ignore_errors=True)
    shell.run(PYTHON, '-m', 'venv', home.venv)
    _install(home, lock)
    _link_nova_etc(home)
    _link_client(home)
    stamp.set(wanted)
    return f'{len(lock.read_text().splitlines())} packages installed'


def added(home: Home, name: str) -> Stamp:
    """Says which packages the environment has for one of the `extras`."""
    return Stamp(home, f'venv-{name}')


def add(home: Home, name: str) -> bool:
    """Have what one of the `extras` needs; True if it had to be installed.

    Not each of them needs any package.
    """
    lock = home.project / 'extras' / f'{name}.txt'
    if not lock.exists():
        return False
    stamp = added(home, name)
    wanted = shell.digest(lock, Stamp(home, 'venv').path)
    if stamp.holds(wanted):
        return False
    stamp.clear()
    _install(home, lock)
    stamp.set(wanted)
    return True


def _install(home: Home, lock: pathlib.Path) -> None:
    shell.run(home.bin / 'python', '-m', 'pip', 'install', '--no-deps',
              '--no-compile', '--no-input', '--quiet', '-r', lock,
              env=shell.clean_environment(**home.caches))
    _compile(home)


def _compile(home: Home) -> None:
    """Compile before users that may not write there import it."""
    shell.run(home.bin / 'python', '-m', 'compileall', '-q',
              '-j', str(os.cpu_count()), '-x', r'/tests?/',
              home.site_packages, check=False)


def _link_nova_etc(home: Home) -> None:
    """Nova's functional fixtures look for etc/nova beside the package."""
    link: pathlib.Path = home.site_packages / 'etc' / 'nova'
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(home.venv / 'etc' / 'nova')


def _link_client(home: Home) -> None:
    """A directory for PATH with `openstack`, without another `python`."""
    link = home.root / 'bin' / 'openstack'
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(home.bin / 'openstack')
