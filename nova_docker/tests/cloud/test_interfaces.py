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

"""A second network interface, added to a server and taken away again."""

from __future__ import annotations

from typing import ClassVar

from openstack import exceptions

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers


class InterfaceTestCase(base.CloudTestCase):
    """One server with a peer on a second network."""

    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]
    peer: ClassVar[servers.Server]
    network: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.network = cls.shared.network('10.91.0.0/24', gateway_ip=None)
        cls.server = cls.shared.server('ssh', wait=())
        cls.peer = cls.shared.server(network=cls.network)
        cls.server.wait_for('ACTIVE')
        cls.guest = cls.shared.login(cls.server)

    def _attach(self) -> str:
        """Attach an interface and return its address."""
        port = clouds.connection('demo').compute.create_server_interface(
            self.server.id, net_id=self.network)
        self.addCleanup(self._detach, port.port_id)
        self.server.wait_for('ACTIVE', 'PAUSED', 'SHUTOFF')
        return str(port.fixed_ips[0]['ip_address'])

    def _attach_port(self, port_id: str) -> None:
        """Attach a port that is there already."""
        clouds.connection('demo').compute.create_server_interface(
            self.server.id, port_id=port_id)
        self.addCleanup(self._detach, port_id)
        clouds.wait_until(lambda: self._has(port_id), 'it is attached')

    def _has(self, port_id: str) -> bool:
        return port_id in [port.id for port in self.server.ports()]

    def _detach(self, port_id: str) -> None:
        clouds.connection('demo').compute.delete_server_interface(
            port_id, server=self.server.id, ignore_missing=True)
        clouds.wait_until(lambda: not self._has(port_id), 'it is detached')
        clouds.wait_until(
            lambda: not [name for name in host.switch_ports(self.server.id)
                         if port_id[:11] in name], 'it is off the switch')
        clouds.wait_until(
            lambda: not [link for link in host.links()
                         if link.endswith(port_id[:11])],
            'its link is gone')

    def _port_of(self, address: str) -> str:
        [port] = [port.id for port in self.server.ports()
                  if port.fixed_ips[0]['ip_address'] == address]
        return str(port)

    def _inside(self) -> str:
        return self.guest.run('ip -o -4 address show')

    def _assert_reaches_peer(self, by: str = 'eth1') -> None:
        self.guest.run(f'ping -c 1 -w 60 -I {by} {self.peer.addresses()[0]}')

    def test_attach_and_detach(self) -> None:
        address = self._attach()
        self.assertIn(f'eth1    inet {address}/24', self._inside())
        self.assertIn(address, self.server.addresses())
        self._assert_reaches_peer()
        self._detach(self._port_of(address))
        self.assertNotIn('eth1', self._inside())
        clouds.wait_until(lambda: address not in self.server.addresses(),
                          'the server shows the address no more')

    def test_it_survives_a_reboot(self) -> None:
        address = self._attach()
        self.server.reboot('HARD')
        self.guest.again()
        self.assertIn(f'eth1    inet {address}/24', self._inside())
        self._assert_reaches_peer()

    def test_attach_while_stopped(self) -> None:
        self.server.stop()
        address = self._attach()
        self.server.start()
        self.guest.again()
        self.assertIn(f'eth1    inet {address}/24', self._inside())
        self._assert_reaches_peer()

    def test_attach_while_paused(self) -> None:
        self.server.pause()
        try:
            address = self._attach()
        finally:
            self.server.unpause()
        self.assertIn(f'eth1    inet {address}/24', self._inside())
        self._assert_reaches_peer()

    def test_several_addresses_of_both_families(self) -> None:
        """They are there, and another server reaches each."""
        network = self.make.network('10.94.0.0/24', gateway_ip=None)
        self.make.subnet(network, ip_version=6, cidr='fd00:94::/64',
                         gateway_ip=None)
        # Its security group opens it to all of the group, in both families.
        addresses = '10.94.0.20', '10.94.0.21', 'fd00:94::20'
        port = self.make.port(network, fixed_ips=[
            {'ip_address': address} for address in addresses])
        self._attach_port(port)
        found = self.guest.run('ip -o address show eth1')
        for address in ('10.94.0.20/24', '10.94.0.21/24', 'fd00:94::20/64'):
            self.assertIn(address, found)
        # Its own addresses of the sixth version are not there at once.
        shown = self.make.prints(
            f'for each in {" ".join(addresses)}; do '
            'until ping -c 1 -w 2 $each >/dev/null 2>&1; do sleep 1; done; '
            'echo $each; done', network=network,
            security_groups=[{'name': 'default'}])
        self.assertEqual(addresses, tuple(shown.split()))

    def test_several(self) -> None:
        """One goes, the others stay, and the next one takes its name."""
        addresses = [self._attach() for _ in range(3)]
        self._detach(self._port_of(addresses[1]))
        shown = self._inside()
        for name, address in (('eth1', addresses[0]), ('eth3', addresses[2])):
            self.assertIn(f'{name}    inet {address}/24', shown)
        self.assertNotIn('eth2', shown)
        address = self._attach()
        self.assertIn(f'eth2    inet {address}/24', self._inside())
        self._assert_reaches_peer('eth2')

    def test_a_trunk_is_refused(self) -> None:
        """To the owner of a server Nova says no more than that it failed.

        So the same port, once it is no parent any more, shows the reason.
        """
        port = self.make.port(self.network)
        trunk = self.make.trunk(port)
        self.assertRaisesRegex(
            exceptions.HttpException,
            f'Failed to attach network adapter device to {self.server.id}',
            self._attach_port, port)
        self.assertEqual(1, len(self.server.ports()))
        self.server.wait_for('ACTIVE')
        self.assertNotIn('eth1', self._inside())
        clouds.connection('demo').network.delete_trunk(trunk)
        self._attach_port(port)
        self._assert_reaches_peer()

    def test_a_trunk_is_refused_at_boot(self) -> None:
        port = self.make.port(self.network)
        self.make.trunk(port)
        fault = self.make.server(networks=[{'port': port}], wait=()).fault()
        self.assertIn(f'Network port {port} is the parent of a trunk', fault)

    def test_detach_while_paused(self) -> None:
        """Also when it goes on while Nova still has the port in its list.

        Nova writes that list last, when Neutron has let the port go already.
        """
        port = self._port_of(self._attach())
        self.assertIn('eth1', self._inside())
        self.server.pause()
        try:
            clouds.connection('demo').compute.delete_server_interface(
                port, server=self.server.id)
            clouds.wait_until(lambda: not self._has(port), 'Neutron let it go',
                              pause=0)
        finally:
            self.server.unpause()
        self.assertEqual(1, len(host.switch_ports(self.server.id)))
        self.assertNotIn('eth1', self._inside())

    def test_detach_while_stopped(self) -> None:
        address = self._attach()
        self.assertIn(address, self._inside())
        self.server.stop()
        self._detach(self._port_of(address))
        self.server.start()
        self.guest.again()
        self.assertNotIn('eth1', self._inside())

    def test_an_attached_port_goes_with_its_server(self) -> None:
        short = self.make.server()
        clouds.connection('demo').compute.create_server_interface(
            short.id, net_id=self.network)
        short.wait_for('ACTIVE')
        self.assertEqual(2, len(host.switch_ports(short.id)))
        self.make.delete(short)


class PortSecurityTestCase(base.CloudTestCase):
    def test_off(self) -> None:
        """Then a server may use an address that Neutron did not give it."""
        network = self.make.network('10.95.0.0/24', gateway_ip=None)
        peer = self.make.server(network=network)
        port = self.make.port(network)
        server = self.make.server('ssh', self.make.flavor(
            {'docker:cap_add': 'NET_ADMIN'}))
        guest = self.make.login(server)
        address = peer.addresses()[0]

        def attach() -> None:
            clouds.connection('demo').compute.create_server_interface(
                server.id, port_id=port)
            clouds.wait_until(lambda: len(server.addresses()) == 2,
                              'it is attached')
            guest.run('ip address add 10.95.0.77/24 dev eth1')

        attach()
        # Nova does not wait until Neutron has wired what is attached later.
        guest.run(f'ping -c 1 -w 60 {address}')
        guest.run(f'! ping -c 3 -w 5 -I 10.95.0.77 {address}')
        clouds.connection('demo').compute.delete_server_interface(
            port, server=server.id)
        clouds.wait_until(lambda: len(server.addresses()) == 1,
                          'it is detached')
        clouds.connection('demo').network.update_port(
            port, port_security_enabled=False, security_groups=[])
        attach()
        guest.run(f'ping -c 1 -w 60 -I 10.95.0.77 {address}')


class NamesTestCase(base.CloudTestCase):
    """The name servers that a container is given are its subnet's."""

    def _resolv_conf(self, **network: str) -> list[str]:
        shown = self.make.prints('cat /etc/resolv.conf', **network)
        return [line.split()[1] for line in shown.splitlines()
                if line.startswith('nameserver')]

    def test_of_its_subnet(self) -> None:
        network = self.make.network(
            '10.92.0.0/24', dns_nameservers=['192.0.2.53', '192.0.2.54'])
        self.assertEqual(['192.0.2.53', '192.0.2.54'],
                         self._resolv_conf(network=network))

    def test_of_its_subnets_dhcp(self) -> None:
        network = clouds.network_id('private')
        [dhcp] = clouds.connection('admin').network.ports(
            network_id=network, device_owner='network:dhcp')
        self.assertEqual([dhcp.fixed_ips[0]['ip_address']],
                         self._resolv_conf())

    def test_never_the_hosts(self) -> None:
        network = self.make.network(
            '10.92.1.0/24', dns_nameservers=['0.0.0.0'])
        self.assertEqual(['127.0.0.1'], self._resolv_conf(network=network))

    def test_metadata_without_a_router(self) -> None:
        network = self.make.network('10.92.2.0/24', gateway_ip=None)
        shown = self.make.prints(
            'curl -sSf -m 10 --retry 30 --retry-delay 2 --retry-all-errors '
            'http://169.254.169.254/latest/meta-data/local-ipv4',
            image='ssh', network=network)
        self.assertRegex(shown, r'10\.92\.2\.\d+$')
