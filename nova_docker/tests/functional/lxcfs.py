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

"""A real LXCFS of a test's own, which can be killed and started again."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess

import fixtures

from nova_docker.tests import base


_MOUNTS = pathlib.Path('/proc/self/mounts')


class Lxcfs(fixtures.Fixture):
    """Mounts LXCFS below a directory of its own."""

    def _setUp(self) -> None:
        self.home = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.home, 'mount')
        os.mkdir(self.path)
        self.addCleanup(self.kill)
        self.start()

    def start(self) -> None:
        """Start it; what a dead one has left is taken away first."""
        self._unmount()
        self._process = subprocess.Popen(
            ['lxcfs', '--enable-cfs', '--enable-loadavg', '--foreground',
             '--pidfile', os.path.join(self.home, 'pid'), self.path],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        base.wait_until(self._serves, 'LXCFS serves')

    def _serves(self) -> bool:
        assert self._process.poll() is None, 'lxcfs: install it, as root'
        try:
            return bool(pathlib.Path(
                self.path, 'proc', 'uptime').read_bytes())
        except OSError:
            return False

    def stop(self) -> None:
        """Let whoever asks it wait."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, to who has waited as well."""
        self._process.send_signal(signal.SIGCONT)

    def die(self) -> None:
        """Kill it: its mount stays, and answers with errors."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Kill it, and take its mount away as systemd's unit does."""
        self.die()
        self._unmount()

    def _unmount(self) -> None:
        while f' {self.path} ' in _MOUNTS.read_text():
            subprocess.run(['umount', '--lazy', self.path], check=True)
