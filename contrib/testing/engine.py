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

"""A Docker Engine for the tests alone.

The tests count instances and break things, so they get an engine that no
cloud and no user of this machine shares: its own directory, socket and
containerd namespace, and no bridge and no packet filter.
"""

from collections.abc import Iterator
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import process

NAMESPACE = 'nova-docker-test'
#: Seconds in which an engine must answer after its start, or be gone after
#: SIGTERM.
PATIENCE = 60


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__('localhost', timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class Engine:
    """One dockerd below one directory."""

    def __init__(self, root: pathlib.Path, log: pathlib.Path) -> None:
        self._root = root
        self._socket = root / 'docker.sock'
        self._pidfile = root / 'docker.pid'
        self._settings = root / 'daemon.json'
        self._log = log

    @property
    def url(self) -> str:
        return f'unix://{self._socket}'

    @contextlib.contextmanager
    def running(self, env: dict[str, str]) -> Iterator[None]:
        """Have an empty engine run, and leave nothing of it."""
        self._reclaim(env)
        with self._started(env):
            yield

    @contextlib.contextmanager
    def making_checkpoints(self, env: dict[str, str],
                           criu: pathlib.Path) -> Iterator[None]:
        """Have one run that can write processes to disk.

        :param criu: the directory that CRIU is in
        """
        self._reclaim(env)
        path = f'{criu}:{env["PATH"]}'
        # CRIU can not bring back the other init, which is a link.
        with self._started({**env, 'PATH': path}, '--experimental',
                           '--init-path=/usr/bin/tini-static'):
            yield

    def _reclaim(self, env: dict[str, str]) -> None:
        """Take away what a run left that was killed.

        Only an engine can end the containers of the one before it, so one is
        started on its directory if it does not run any more.
        """
        if not self._root.exists():
            return
        if self._answers():
            self._remove_containers()
            self._terminate(int(self._pidfile.read_text()))
            self._wipe()
            return
        with contextlib.suppress(RuntimeError), self._started(env):
            pass

    @contextlib.contextmanager
    def _started(self, env: dict[str, str],
                 *options: str) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        # dockerd believes a pidfile whose number another process has by now.
        self._pidfile.unlink(missing_ok=True)
        # Or it would take the configuration of this machine's own.
        self._settings.write_text('{}')
        try:
            with self._log.open('ab') as output, process.started(
                    [*self._command(), *options], output.fileno(), env=env,
                    cwd=self._root) as daemon:
                self._wait(daemon)
                try:
                    yield
                finally:
                    self._remove_containers()
        finally:
            self._wipe()

    def _command(self) -> list[str]:
        return [
            'dockerd', '--host', self.url,
            '--data-root', f'{self._root}/data',
            '--exec-root', f'{self._root}/exec',
            '--pidfile', f'{self._pidfile}',
            '--config-file', f'{self._settings}',
            '--containerd-namespace', NAMESPACE,
            '--containerd-plugins-namespace', f'{NAMESPACE}-plugins',
            '--bridge', 'none', '--iptables=false', '--ip6tables=false',
            '--ip-forward=false', '--ip-masq=false',
        ]

    def _wait(self, daemon: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f'dockerd did not start:\n{process.tail(self._log)}')
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            self._call('GET', '/_ping')
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _remove_containers(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for each in json.loads(
                    self._call('GET', '/containers/json?all=1')):
                self._call('DELETE', f'/containers/{each["Id"]}?force=1&v=1')

    def _call(self, method: str, path: str) -> bytes:
        with contextlib.closing(Connection(self._socket)) as connection:
            connection.request(method, path)
            return connection.getresponse().read()

    @staticmethod
    def _terminate(pid: int) -> None:
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)

    def _wipe(self) -> None:
        for pid in self._shims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in self._mounts():
            subprocess.run(['umount', '--lazy', mount], check=False)
        shutil.rmtree(self._root, ignore_errors=True)

    def _shims(self) -> list[int]:
        """Containers' parents that outlived the engine they belong to."""
        address = f'{self._root}/exec/containerd/containerd.sock'.encode()
        return [int(each.parent.name)
                for each in pathlib.Path('/proc').glob('[0-9]*/cmdline')
                if address in _arguments(each)]

    def _mounts(self) -> list[str]:
        """The mounts below our directory, the innermost first."""
        points = [line.split()[4] for line in
                  pathlib.Path('/proc/self/mountinfo').read_text().splitlines()]
        return sorted((each for each in points
                       if each.startswith(f'{self._root}/')), reverse=True)


def _arguments(cmdline: pathlib.Path) -> list[bytes]:
    try:
        return cmdline.read_bytes().split(b'\0')
    except OSError:  # the process has ended
        return []
