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

"""CRIU, by which the engine writes processes to disk and brings them back.

Only 4.2 and later can write a process on Linux 6.18 that has a TCP socket, as
SSH servers have. The first with one is Debian 14, whose C library it needs.
So it is unpacked beside everything that it loads, and nothing is installed.
"""

import contextlib
import pathlib
import shutil

from dockenstack.host import packages
from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

RELEASE = 'forky'
KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
#: Where the container runtime has CRIU look for its options.
OPTIONS = pathlib.Path('/etc/criu/runc.conf')
CONTENT = """\
# dockenstack's: what has connections, or a mount of the host's, too.
tcp-established
ext-mount-map auto
enable-external-masters
enable-external-sharing
"""
WRAPPER = """\
#!/bin/sh
exec "{loader}" --library-path "{libraries}" \\
    "{root}/usr/sbin/criu" "$@"
"""


def directory(home: Home) -> pathlib.Path:
    """Where `criu` is, for the engine's PATH."""
    return home.root / 'criu' / 'bin'


def is_unpacked(home: Home) -> bool:
    return Stamp(home, 'criu').holds(RELEASE)


def unpack(home: Home) -> None:
    """Have `criu` in its directory."""
    if not is_unpacked(home):
        shutil.rmtree(directory(home).parent, ignore_errors=True)
        root = directory(home).parent / RELEASE
        root.mkdir(parents=True)
        packages.unpack(('criu',), RELEASE, KEYS, root)
        _wrap(home, root)
        Stamp(home, 'criu').set(RELEASE)
    if not OPTIONS.exists():
        OPTIONS.parent.mkdir(exist_ok=True)
        shell.write(OPTIONS, CONTENT)


def remove_options() -> None:
    """Remove the one file outside of the home. May be called again."""
    if OPTIONS.exists() and OPTIONS.read_text() == CONTENT:
        OPTIONS.unlink()
        # It may have been there before, with more in it.
        with contextlib.suppress(OSError):
            OPTIONS.parent.rmdir()


def _wrap(home: Home, root: pathlib.Path) -> None:
    [loader] = root.glob('usr/lib/*-linux-gnu/ld-linux*.so.*')
    directory(home).mkdir()
    shell.write(directory(home) / 'criu', WRAPPER.format(
        loader=loader, libraries=loader.parent, root=root), 0o755)
