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

"""Serial consoles: a TCP port for each instance whose console is wanted.

nova-serialproxy connects to it once Nova has checked a user's token.
"""

from __future__ import annotations

import errno
import socket
import threading

from nova.conf import serial_console
from nova.console import type as console_type
from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker.console import terminal
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names

LOG = logging.getLogger(__name__)


class Serial:
    """Opens and closes serial consoles.

    :param engine: where the workloads run
    :param host: the address to listen on
    :param port_range: ``first:last``, without the last, as Nova has it
    """

    def __init__(self, engine: client.Engine, host: str,
                 port_range: str) -> None:
        self._engine = engine
        self._host = host
        self._ports = _ports(port_range)
        self._lock = threading.Lock()
        self._terminals: dict[str, terminal.Terminal] = {}

    def open(self, instance: objects.Instance) -> console_type.ConsoleSerial:
        """Return where the console is; the same again while it is open.

        :raises EngineNotFound: without a workload
        :raises InstanceNotReady: if it does not run
        :raises SocketPortRangeExhaustedException: without a free port
        :raises ConsoleTypeUnavailable: if the address can't be listened on
        """
        # A destroy removes, then closes. So either it closes this one too,
        # or there is no workload any more.
        opened = self._opened(instance.uuid)
        try:
            container = self._engine.container(names.workload(instance.uuid))
        except errors.EngineNotFound:
            self.close(instance)
            raise
        if not container['State']['Running']:
            raise exception.InstanceNotReady(instance_id=instance.uuid)
        return console_type.ConsoleSerial(host=self._host, port=opened.port)

    def _opened(self, uuid: str) -> terminal.Terminal:
        with self._lock:
            found = self._terminals.get(uuid)
            if found is None or not found.is_open:
                found = self._terminals[uuid] = terminal.Terminal(
                    self._engine, uuid, self._listen())
            return found

    def _listen(self) -> socket.socket:
        """Return a listener; to have it is to have the port."""
        try:
            for port in self._ports:
                found = _listener(self._host, port)
                if found is not None:
                    return found
        except OSError as error:
            LOG.error('Nothing can listen on [serial_console] '
                      'proxyclient_address %s: %s', self._host, error)
            raise exception.ConsoleTypeUnavailable(
                console_type='serial') from error
        raise exception.SocketPortRangeExhaustedException(host=self._host)

    def close(self, instance: objects.Instance) -> None:
        """Hang up on every viewer and free the port; can be run again."""
        with self._lock:
            found = self._terminals.pop(instance.uuid, None)
        if found is not None:
            found.close()
            terminal.wait([found])

    def stop(self) -> None:
        """Close every console; can be run again."""
        with self._lock:
            every, self._terminals = list(self._terminals.values()), {}
        for each in every:
            each.close()
        terminal.wait(every)


def _ports(port_range: str) -> range:
    first, last = map(int, port_range.split(':'))
    if first < last:
        return range(first, last)
    LOG.warning('[serial_console] port_range %s is empty; %s is used.',
                port_range, serial_console.DEFAULT_PORT_RANGE)
    return _ports(serial_console.DEFAULT_PORT_RANGE)


def _listener(host: str, port: int) -> socket.socket | None:
    """Return a listener on a port, or None if another has it."""
    family, *_rest, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM)[0]
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise
