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

"""Containers talk to each other through a real switch."""

from concurrent import futures
import socket
from typing import Any

from nova.network import model

from nova_docker.conf import CONF
from nova_docker.tests.functional.network import base
from nova_docker.tests.functional.network import ports
from nova_docker.tests.functional.network import processes

_PORT = 8080
_TIMEOUT = 120

# More than a segment, so that segmentation offload has something to do.
_DATA = bytes(range(256)) * 16384

# What Neutron's native firewall does with TCP: a packet that conntrack finds
# invalid, for its checksum too, does not pass.
_FLOWS = ('table=0,priority=1,actions=normal', *(
    flow.format(tcp) for tcp in ('tcp', 'tcp6') for flow in (
        'table=0,priority=2,{},actions=ct(table=1)',
        'table=1,priority=2,{},ct_state=+trk+inv,actions=drop',
        'table=1,priority=1,{},ct_state=+trk,actions=ct(commit),normal')))


class TrafficTestCase(base.NetworkTestCase):
    """Two containers on one switch."""

    def setUp(self) -> None:
        super().setUp()
        self.switch.set_flows(*_FLOWS)

    def connected(self, vif: model.VIF) -> processes.Container:
        """Return a new container with this port."""
        container = self.container()
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        self.wiring.connect(self.instance, vif, container.pid)
        return container

    def connected_pair(
        self, **changes: Any,
    ) -> tuple[processes.Container, processes.Container]:
        """Return the containers of port 1 and port 2."""
        return (self.connected(ports.make_vif(1, **changes)),
                self.connected(ports.make_vif(2, **changes)))

    def assert_exchange(self, server: processes.Container,
                        client: processes.Container, address: str) -> None:
        """Send data both ways over TCP and fail unless all of it arrives."""
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        with server.socket(socket.socket, family) as listener:
            listener.settimeout(_TIMEOUT)
            listener.bind((address, _PORT))
            listener.listen()
            received = self.exchange(listener, client, address)
        self.assertEqual(len(_DATA), len(received))
        self.assertEqual(_DATA, received)

    def exchange(self, listener: socket.socket, client: processes.Container,
                 address: str) -> bytes:
        """Send data to a listener that sends it back; return what came."""
        with (futures.ThreadPoolExecutor() as threads,
              client.socket(socket.create_connection, (address, _PORT),
                            _TIMEOUT) as connection):
            echo = threads.submit(_echo, listener)
            sent = threads.submit(connection.sendall, _DATA)
            received = _receive(connection)
            sent.result()
            echo.result()
        return received

    def test_ipv4(self) -> None:
        server, client = self.connected_pair()
        self.assert_exchange(server, client, '10.9.0.1')

    def test_ipv6(self) -> None:
        server, client = self.connected_pair()
        self.assert_exchange(server, client, '2001:db8::1')

    def test_hybrid(self) -> None:
        details = {'datapath_type': 'netdev', 'ovs_hybrid_plug': True}
        server, client = self.connected_pair(details=details)
        self.assert_exchange(server, client, '10.9.0.1')

    def test_offload_is_off_only_where_it_has_to_be(self) -> None:
        for asked, expected in (('auto', 'off'), ('on', 'on'),
                                ('off', 'off')):
            with self.subTest(asked=asked):
                CONF.set_override('tx_checksum_offload', asked, 'docker')
                self.addCleanup(CONF.clear_override, 'tx_checksum_offload',
                                'docker')
                box = self.connected(ports.make_vif(1))
                self.assertIn(f'tx-checksumming: {expected}',
                              box.run('ethtool', '--show-offload', 'eth0'))

    def test_new_container_after_the_old_one_was_killed(self) -> None:
        vif = ports.make_vif(1)
        server, client = self.connected(vif), self.connected(ports.make_vif(2))
        self.assert_exchange(server, client, '10.9.0.1')
        server.kill()
        processes.wait_for(lambda: vif['devname'] not in base.host_links(),
                      'the kernel removes the link')
        self.assert_exchange(self.connected(vif), client, '10.9.0.1')

    def test_new_container_right_after_the_old_one_was_killed(self) -> None:
        vif = ports.make_vif(1)
        server, client = self.connected(vif), self.connected(ports.make_vif(2))
        self.assert_exchange(server, client, '10.9.0.1')
        server.kill()
        self.assert_exchange(self.connected(vif), client, '10.9.0.1')

    def test_switch_restarts(self) -> None:
        server, client = self.connected_pair()
        self.switch.restart()
        self.switch.set_flows(*_FLOWS)
        self.assert_exchange(server, client, '10.9.0.1')


def _echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.settimeout(_TIMEOUT)
    with connection:
        connection.sendall(_receive(connection))


def _receive(connection: socket.socket) -> bytes:
    connection.settimeout(_TIMEOUT)
    received = bytearray()
    while len(received) < len(_DATA):
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return bytes(received)
