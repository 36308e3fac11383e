#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Programs and containers that tests start and end."""

from collections.abc import Callable
import json
import pathlib
import socket
import subprocess
import time
from typing import Any

from nova_docker.privsep import namespaces

_TIMEOUT = 120


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until a condition holds and return what it gave."""
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f'not within {_TIMEOUT} s: {what}')


def run(*command: str) -> str:
    """Run a command and return its output."""
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=_TIMEOUT)
    assert done.returncode == 0, f'{command}: {done.stderr}'
    return done.stdout


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(_TIMEOUT)
    finally:
        process.kill()


class Container:
    """A process without capabilities in namespaces of its own.

    :param isolation: options of unshare(1)
    :param uid: the user who starts it
    """

    def __init__(self, *isolation: str, uid: int = 0) -> None:
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', f'--reuid={uid}',
             'unshare', *isolation, 'setpriv', '--bounding-set=-all',
             '--inh-caps=-all', 'sleep', 'infinity'])
        self.pid = self._process.pid
        comm = pathlib.Path(f'/proc/{self.pid}/comm')
        wait_for(lambda: comm.read_text().strip() == 'sleep', 'sleep runs')

    def run(self, *command: str) -> str:
        """Run a command in the container's network namespace."""
        return run('nsenter', '--net', '--target', str(self.pid), *command)

    def write(self, path: str, value: int) -> None:
        """Write to a file of its /proc/sys/net."""
        self.run('sh', '-c', f'echo {value} > {path}')

    def socket(self, make: Callable[..., socket.socket],
               *arguments: Any) -> socket.socket:
        """Return a socket made in the container's network namespace."""
        with namespaces.of_process(self.pid) as namespace:
            return namespaces.run_in(namespace, make, *arguments)

    def links(self) -> dict[str, Any]:
        """Return its interfaces by name, loopback not among them."""
        found = json.loads(self.run('ip', '-json', '-details', 'address'))
        return {link['ifname']: link for link in found
                if link['ifname'] != 'lo'}

    def addresses(self, name: str = 'eth0') -> set[str]:
        """Return an interface's addresses but the link's own."""
        return {f"{address['local']}/{address['prefixlen']}"
                for address in self.links()[name]['addr_info']
                if address['scope'] == 'global'}

    def routes(self, version: int = 4) -> set[str]:
        """Return its static routes, in the words of ip-route(8)."""
        output = self.run('ip', f'-{version}', 'route', 'show', 'proto',
                          'static')
        return {line.strip() for line in output.splitlines()}

    def kill(self) -> None:
        """End it, and its namespace with it."""
        self._process.kill()
        self._process.wait()
