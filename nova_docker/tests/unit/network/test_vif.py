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

"""Ports as Neutron describes them, and what comes of them."""

from typing import Any
import unittest

from nova.network import model

from nova_docker import errors
from nova_docker.network import vif

_PORT = '0f8fad5b-d9cb-469f-a165-70867728950e'


def _subnet(cidr: str = '10.0.0.0/24', *addresses: str,
            gateway: str | None = '10.0.0.1', dns: tuple[str, ...] = (),
            routes: tuple[tuple[str, str], ...] = (),
            **meta: Any) -> model.Subnet:
    return model.Subnet(
        cidr=cidr, gateway=model.IP(gateway, 'gateway'),
        dns=[model.IP(server, 'dns') for server in dns],
        ips=[model.FixedIP(address=address) for address in addresses],
        routes=[model.Route(destination, model.IP(hop, 'gateway'))
                for destination, hop in routes], **meta)


def _port(*subnets: model.Subnet, mtu: int | None = 1450,
          **changes: Any) -> model.VIF:
    network = model.Network(id='net', bridge='br-int', label='private',
                            subnets=list(subnets), mtu=mtu)
    return model.VIF(**{
        'id': _PORT, 'address': 'FA:16:3E:00:00:01', 'network': network,
        'type': model.VIF_TYPE_OVS, 'devname': 'tap0f8fad5b-d9', **changes})


class DescribeTestCase(unittest.TestCase):
    """What describe() makes of a port."""

    def test_names(self) -> None:
        interface = vif.describe(_port())
        self.assertEqual('tap0f8fad5b-d9', interface.host_name)
        self.assertEqual('ndk0f8fad5b-d9', interface.peer_name)
        self.assertEqual('tap0f8fad5b-d9', interface.switch_port)
        self.assertEqual('br-int', interface.bridge)
        self.assertIsNone(interface.hybrid_bridge)

    def test_names_of_hybrid_port(self) -> None:
        interface = vif.describe(_port(details={'ovs_hybrid_plug': True}))
        self.assertEqual('tap0f8fad5b-d9', interface.host_name)
        self.assertEqual('qvo0f8fad5b-d9', interface.switch_port)
        self.assertEqual('qbr0f8fad5b-d9', interface.hybrid_bridge)

    def test_device_without_name(self) -> None:
        interface = vif.describe(_port(devname=None))
        self.assertEqual('tap0f8fad5b-d9', interface.host_name)

    def test_mac_is_written_as_the_kernel_does(self) -> None:
        self.assertEqual('fa:16:3e:00:00:01', vif.describe(_port()).mac)

    def test_mtu(self) -> None:
        self.assertEqual(1450, vif.describe(_port()).mtu)
        self.assertEqual(1500, vif.describe(_port(mtu=None)).mtu)

    def test_addresses_of_all_subnets(self) -> None:
        interface = vif.describe(_port(
            _subnet('10.0.0.0/24', '10.0.0.5', '10.0.0.6'),
            _subnet('2001:db8::/64', '2001:db8::5', gateway='2001:db8::1')))
        self.assertEqual(
            ('10.0.0.5/24', '10.0.0.6/24', '2001:db8::5/64'),
            interface.addresses)

    def test_other_types_are_refused_by_name(self) -> None:
        for vif_type in (model.VIF_TYPE_BRIDGE, model.VIF_TYPE_VHOSTUSER,
                         model.VIF_TYPE_MACVTAP, model.VIF_TYPE_UNBOUND,
                         model.VIF_TYPE_BINDING_FAILED):
            with self.assertRaisesRegex(errors.UnsupportedVif, vif_type):
                vif.describe(_port(type=vif_type))

    def test_hardware_ports_are_refused_by_name(self) -> None:
        with self.assertRaisesRegex(errors.UnsupportedVif, 'direct'):
            vif.describe(_port(vnic_type=model.VNIC_TYPE_DIRECT))

    def test_router_advertisements_where_neutron_has_them(self) -> None:
        self.assertFalse(vif.describe(_port(_subnet())).accept_ra)
        for mode in ('slaac', 'dhcpv6-stateless', 'dhcpv6-stateful'):
            subnet = _subnet('2001:db8::/64', gateway=None,
                             ipv6_address_mode=mode)
            self.assertTrue(vif.describe(_port(subnet)).accept_ra)


class RoutesTestCase(unittest.TestCase):
    """Which way packets go, and which way wins."""

    def assert_routes(self, expected: list[vif.Route],
                      *subnets: model.Subnet) -> None:
        """Fail unless a port of the subnets has these routes."""
        self.assertEqual(tuple(expected),
                         vif.describe(_port(*subnets)).routes)

    def test_gateways_of_both_families(self) -> None:
        self.assert_routes(
            [vif.Route('0.0.0.0/0', '10.0.0.1'),
             vif.Route('::/0', '2001:db8::1')],
            _subnet(), _subnet('2001:db8::/64', gateway='2001:db8::1'))

    def test_first_subnets_gateway_wins(self) -> None:
        self.assert_routes(
            [vif.Route('0.0.0.0/0', '10.0.0.1')],
            _subnet(), _subnet('10.1.0.0/24', gateway='10.1.0.1'))

    def test_host_routes_win_over_gateway(self) -> None:
        self.assert_routes(
            [vif.Route('192.0.2.0/24', '10.0.0.9'),
             vif.Route('0.0.0.0/0', '10.0.0.8')],
            _subnet(routes=(('192.0.2.0/24', '10.0.0.9'),
                            ('0.0.0.0/0', '10.0.0.8'))))

    def test_destination_with_host_bits(self) -> None:
        self.assert_routes(
            [vif.Route('192.0.2.0/24', '10.0.0.9')],
            _subnet(gateway=None, routes=(('192.0.2.7/24', '10.0.0.9'),)))

    def test_next_hop_outside_all_subnets_is_on_the_link(self) -> None:
        self.assert_routes([vif.Route('0.0.0.0/0', '172.16.0.1', True)],
                           _subnet(gateway='172.16.0.1'))

    def test_link_local_gateway_needs_no_mention(self) -> None:
        self.assert_routes([vif.Route('::/0', 'fe80::1', False)],
                           _subnet('2001:db8::/64', gateway='fe80::1'))

    def test_metadata_without_gateway_is_at_the_dhcp_server(self) -> None:
        self.assert_routes(
            [vif.Route('169.254.169.254/32', '10.0.0.2')],
            _subnet(gateway=None, dhcp_server='10.0.0.2'))

    def test_metadata_with_gateway_is_behind_it(self) -> None:
        self.assert_routes([vif.Route('0.0.0.0/0', '10.0.0.1')],
                           _subnet(dhcp_server='10.0.0.2'))

    def test_metadata_as_a_host_route_says(self) -> None:
        self.assert_routes(
            [vif.Route('169.254.169.254/32', '10.0.0.3')],
            _subnet(gateway=None, dhcp_server='10.0.0.2',
                    routes=(('169.254.169.254/32', '10.0.0.3'),)))

    def test_metadata_of_ovn_is_on_the_link(self) -> None:
        ovn = {'bound_drivers': {'0': 'ovn'}}
        six = _subnet('2001:db8::/64', gateway=None)
        there = vif.Route('169.254.169.254/32', None)
        other = vif.Route('169.254.169.254/32', '10.0.0.3')
        for expected, subnets in (
                ((vif.Route('0.0.0.0/0', '10.0.0.1'), there),
                 [six, _subnet()]),
                ((), [six]),
                ((other,), [_subnet(
                    gateway=None,
                    routes=(('169.254.169.254/32', '10.0.0.3'),))])):
            self.assertEqual(expected, vif.describe(
                _port(*subnets, details=ovn)).routes)
        self.assertNotIn(there, vif.describe(_port(_subnet(), details={
            'bound_drivers': {'0': 'openvswitch'}})).routes)


class NameserversTestCase(unittest.TestCase):
    """Who resolves names for a server."""

    def assert_nameservers(self, expected: list[str],
                           *subnets: model.Subnet) -> None:
        """Fail unless a port of the subnets has these name servers."""
        network_info = model.NetworkInfo([_port(*subnets)])
        self.assertEqual(expected, vif.nameservers(network_info))

    def test_of_all_subnets_in_order_and_once(self) -> None:
        self.assert_nameservers(
            ['192.0.2.2', '192.0.2.1', '192.0.2.3'],
            _subnet(dns=('192.0.2.2', '192.0.2.1')),
            _subnet(dns=('192.0.2.1', '192.0.2.3')))

    def test_dhcp_server_where_none_is_named(self) -> None:
        self.assert_nameservers(['10.0.0.2'],
                                _subnet(dhcp_server='10.0.0.2'))

    def test_dhcpv6_server_where_there_is_one(self) -> None:
        for mode, expected in ((None, []), ('slaac', []),
                               ('dhcpv6-stateless', ['2001:db8::2'])):
            self.assert_nameservers(
                expected, _subnet('2001:db8::/64', gateway=None,
                                  dhcp_server='2001:db8::2',
                                  ipv6_address_mode=mode))

    def test_none(self) -> None:
        self.assert_nameservers([], _subnet())
        self.assert_nameservers([])

    def test_none_on_purpose(self) -> None:
        self.assert_nameservers(
            [], _subnet(dns=('0.0.0.0',), dhcp_server='10.0.0.2'))
