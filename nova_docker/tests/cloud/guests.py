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

"""The inside of a server, over SSH with the demo key."""

from __future__ import annotations

import contextlib
from typing import Any

import paramiko

from nova_docker.tests.cloud import clouds

#: Seconds for one attempt to connect, and for one command.
_ATTEMPT = 10


class Guest:
    """A login on a server; connects when it is first used.

    :param address: where the server answers, a floating IP
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: paramiko.SSHClient | None = None

    def run(self, command: str, given: bytes = b'') -> str:
        """Return what a command says; it must succeed.

        :param given: what it reads from its standard input
        :raises AssertionError: if it does not, with what it said
        """
        written, output, errors = self._login().exec_command(
            command, timeout=clouds.PATIENCE)
        written.write(given)
        written.channel.shutdown_write()
        said = output.read().decode()
        complaint = errors.read().decode()
        status = output.channel.recv_exit_status()
        if status:
            raise AssertionError(
                f'"{command}" ended with {status}: {said}{complaint}')
        return said.strip()

    def is_connected(self) -> bool:
        """Tell whether the connection that was made still stands."""
        transport = self._client and self._client.get_transport()
        return bool(transport and transport.is_active())

    def is_reachable(self) -> bool:
        """Tell whether somebody can log in now, by a new connection."""
        try:
            _connected(self.address).close()
        except (OSError, EOFError, paramiko.SSHException):
            return False
        return True

    def again(self) -> Guest:
        """Forget the connection, which a reboot has cut; wait for SSH."""
        self.close()
        self._login()
        return self

    def close(self) -> None:
        """End the connection; can be run again."""
        if self._client is not None:
            with contextlib.suppress(EOFError, OSError):
                self._client.close()
        self._client = None

    def _login(self) -> paramiko.SSHClient:
        if self._client is None or not self.is_connected():
            self.close()
            self._client = clouds.wait_until(
                self._attempt, f'SSH on {self.address} answers')
        return self._client

    def _attempt(self) -> Any:
        try:
            return _connected(self.address)
        except (OSError, EOFError, paramiko.SSHException):
            return None


def _connected(address: str) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    try:
        client.connect(
            address, username='root', allow_agent=False,
            look_for_keys=False, key_filename=str(clouds.home() / 'demo.pem'),
            timeout=_ATTEMPT, banner_timeout=_ATTEMPT, auth_timeout=_ATTEMPT)
    except BaseException:
        client.close()
        raise
    return client
