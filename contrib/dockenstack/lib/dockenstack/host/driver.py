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

"""Build the checkout's wheel and install it into the virtual environment."""

import os
import pathlib
import shutil
import tempfile

from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

VERSION = '0.0.0.dev1'
PARTS = ('setup.cfg', 'setup.py', 'pyproject.toml', 'requirements.txt',
         'README.rst', 'LICENSE', 'nova_docker', 'nova', 'etc')


def version(home: Home) -> str:
    """A hash of everything that goes into the wheel."""
    files = [path for part in PARTS
             for path in sorted(_files(home.source / part))]
    names = '\n'.join(str(path.relative_to(home.source)) for path in files)
    return shell.digest(names, *files)


def install(home: Home) -> bool:
    """Have the wheel of the present source installed; True if it is new."""
    stamp = Stamp(home, 'driver')
    wanted = shell.digest(version(home),
                          Stamp(home, 'venv').path.read_text())
    if stamp.holds(wanted):
        return False
    stamp.clear()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _build(home, pathlib.Path(scratch))
        shell.run(home.bin / 'python', '-m', 'pip', 'install', '--quiet',
                  '--no-deps', '--no-index', '--force-reinstall', wheel)
    _link_command(home)
    stamp.set(wanted)
    return True


def _link_command(home: Home) -> None:
    """Have the users' command beside `openstack`."""
    link = home.root / 'bin' / 'nova-docker-image'
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(home.bin / link.name)


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path]
    return [found for found in path.rglob('*')
            if found.is_file() and '__pycache__' not in found.parts]


def _build(home: Home, scratch: pathlib.Path) -> pathlib.Path:
    """Build in a copy that is a git repository of its own.

    pbr asks git for the files and the version. The checkout may have no tag,
    may belong to another user (git then refuses it), or be no clone at all.
    """
    copy = scratch / 'source'
    copy.mkdir()
    for part in PARTS:
        origin = home.source / part
        if origin.is_dir():
            shutil.copytree(origin, copy / part, ignore=shutil.
                            ignore_patterns('__pycache__', '*.egg-info'))
        elif origin.exists():
            shutil.copy2(origin, copy / part)
    for command in (('init', '--quiet'), ('add', '--all', '--force')):
        shell.run('git', '-C', copy, *command)
    env = shell.clean_environment(
        PBR_VERSION=VERSION, SKIP_GENERATE_AUTHORS='1',
        SKIP_WRITE_GIT_CHANGELOG='1',
        PATH=f'{home.bin}:{os.environ["PATH"]}')
    shell.run(home.bin / 'python', '-m', 'pip', 'wheel', '--quiet',
              '--no-deps', '--no-index', '--no-build-isolation',
              '--wheel-dir', scratch, copy, env=env)
    return next(scratch.glob('*.whl'))
