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

"""A machine with Debian alone, in a directory and in namespaces of its own."""

from __future__ import annotations

from collections.abc import Mapping
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Any
from typing import Final

from nova_docker.tests.cloud import clouds
from nova_docker.tests.extras import shell

RELEASE: Final = 'trixie'
#: What pip and apt of the machine trust, as those of this one do.
_CERTIFICATES: Final = pathlib.Path('/etc/ssl/certs/ca-certificates.crt')
#: Makes a directory the root of the namespaces that it is run in.
_ENTER: Final = """
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p run/lock old
pivot_root . old
umount --lazy old
exec bash --noprofile --norc
"""
#: Packages start no service: there is no init that would end it.
_NO_SERVICES: Final = '#!/bin/sh\nexit 101\n'


class Machine:
    """Its processes end, and its files go, with the test.

    It has the network of this machine, and nothing else of it.

    :param cleanup: unittest's addCleanup
    :param packages: what it has besides Debian's base
    """

    def __init__(self, cleanup: Any, *packages: str) -> None:
        self.root = pathlib.Path(tempfile.mkdtemp(dir=clouds.home()))
        cleanup(shutil.rmtree, self.root)
        self.root.chmod(0o755)
        _install(self.root)
        self.shell = shell.Shell(
            self.root, _environment(),
            'unshare', '--mount', '--pid', '--ipc', '--uts',
            '--fork', '--kill-child', '--propagation', 'private',
            'sh', '-ec', _ENTER, os.fspath(self.root))
        cleanup(self.shell.close)
        self.run('export PATH=/usr/local/sbin:/usr/local/bin:'
                 '/usr/sbin:/usr/bin:/sbin:/bin && cd /root')
        self.run('apt-get update && apt-get install --yes '
                 f'--no-install-recommends {" ".join(packages)}')

    def run(self, command: str) -> str:
        """Run a command as its root; return what it says.

        :raises AssertionError: if it fails
        """
        status, said = self.shell.run(command, 6 * clouds.PATIENCE)
        if status:
            raise AssertionError(f'{command}: {said}')
        return said

    def write(self, path: str, text: str) -> None:
        """Write a file of its."""
        file = self.root / path.lstrip('/')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _install(root: pathlib.Path) -> None:
    ran = subprocess.run(
        ['debootstrap', '--include=ca-certificates', RELEASE,
         os.fspath(root)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        raise AssertionError(f'debootstrap: {ran.stdout[-2000:]}')
    shutil.copy('/etc/resolv.conf', root / 'etc' / 'resolv.conf')
    shutil.copy('/etc/hosts', root / 'etc' / 'hosts')
    shutil.copy(_CERTIFICATES, root / _CERTIFICATES.relative_to('/'))
    policy = root / 'usr' / 'sbin' / 'policy-rc.d'
    policy.write_text(_NO_SERVICES)
    policy.chmod(0o755)


def _environment() -> Mapping[str, str]:
    return {'HOME': '/root', 'LC_ALL': 'C.UTF-8', 'TERM': 'dumb',
            'PATH': os.environ['PATH'], 'DEBIAN_FRONTEND': 'noninteractive',
            'PIP_CERT': os.fspath(_CERTIFICATES),
            'PIP_ROOT_USER_ACTION': 'ignore'}
