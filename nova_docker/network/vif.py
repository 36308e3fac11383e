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

"""What a container needs to know of a Neutron port, as plain data."""

from collections.abc import Iterator
import dataclasses
import ipaddress

from nova.network import model

from nova_docker import errors

# What os-vif gives a port whose network says nothing, and Neutron's default.
_DEFAULT_MTU = 1500

# Neutron's Open vSwitch agent gives each trunk a bridge of this name and more.
_TRUNK_BRIDGE = 'tbr-'

_METADATA = '169.254.169.254/32'

# A device name takes 15 bytes; Nova and Neutron keep to 14.
_PREFIX_LENGTH = 3
_ID_LENGTH = model.NIC_NAME_LEN - _PREFIX_LENGTH


@dataclasses.dataclass(frozen=True)
class Route:
    """One route of an interface.

    :param destination: in CIDR notation; a default route is ``0.0.0.0/0``
    :param gateway: the next hop's address, None for one on the link itself
    :param onlink: the next hop lies in no subnet of the interface
    """

    destination: str
    gateway: str | None
    onlink: bool = False


@dataclasses.dataclass(frozen=True)
class Interface:
    """One network interface of an instance.

    :param host_name: the host end, by the name that Nova and Neutron expect
    :param peer_name: the inside end, until it is in its namespace
    :param switch_port: the port on the Open vSwitch bridge
    :param bridge: the Open vSwitch bridge
    :param hybrid_bridge: the Linux bridge between the host end and the
        Open vSwitch bridge where Neutron filters with iptables, else None
    :param mtu: in bytes
    :param addresses: in CIDR notation, IPv4 and IPv6
    :param accept_ra: the network's routers tell the IPv6 default route
    """

    host_name: str
    peer_name: str
    switch_port: str
    bridge: str
    hybrid_bridge: str | None
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    routes: tuple[Route, ...]
    accept_ra: bool


def host_name(vif: model.VIF) -> str:
    """Return the name of a port's device on the host."""
    return vif['devname'] or _device('tap', vif)


def describe(vif: model.VIF) -> Interface:
    """Return what a port asks of its interface.

    :raises UnsupportedVif: the port is bound to something else than a
        plain Open vSwitch port, which OVN's are too
    """
    refuse_unsupported(vif)
    hybrid = bool(vif.is_hybrid_plug_enabled())
    subnets = vif['network']['subnets']
    return Interface(
        host_name=host_name(vif),
        peer_name=_device('ndk', vif),
        switch_port=_device('qvo', vif) if hybrid else host_name(vif),
        bridge=vif['network']['bridge'],
        hybrid_bridge=_device('qbr', vif) if hybrid else None,
        mac=vif['address'].lower(),
        mtu=vif['network'].get_meta('mtu') or _DEFAULT_MTU,
        addresses=tuple(_addresses(subnets)),
        routes=_routes(subnets, _is_of_ovn(vif)),
        accept_ra=any(s.get_meta('ipv6_address_mode') for s in subnets))


def refuse_unsupported(vif: model.VIF) -> None:
    """Raise UnsupportedVif, naming the reason, unless we can plug the port."""
    if vif['type'] != model.VIF_TYPE_OVS:
        raise errors.UnsupportedVif(vif_type=vif['type'])
    if vif['vnic_type'] != model.VNIC_TYPE_NORMAL:
        raise errors.UnsupportedVif(
            vif_type=f"{vif['type']}, vnic_type {vif['vnic_type']}")
    if (vif['network']['bridge'] or '').startswith(_TRUNK_BRIDGE):
        raise errors.TrunkParent(port=vif['id'])


def nameservers(network_info: model.NetworkInfo) -> list[str]:
    """Return the name servers that a server's subnets announce, in order.

    A subnet that names none but has DHCP announces its DHCP server, as
    Neutron's dnsmasq does. 0.0.0.0 and :: are Neutron's way to say that
    there shall be none.
    """
    found = [server for vif in network_info
             for subnet in vif['network']['subnets']
             for server in _subnet_nameservers(subnet)]
    return list(dict.fromkeys(found))


def _device(prefix: str, vif: model.VIF) -> str:
    return prefix + vif['id'][:_ID_LENGTH]


def _addresses(subnets: list[model.Subnet]) -> Iterator[str]:
    for subnet in subnets:
        length = ipaddress.ip_network(subnet['cidr']).prefixlen
        for address in subnet['ips']:
            yield f"{address['address']}/{length}"


def _is_of_ovn(vif: model.VIF) -> bool:
    """Whether OVN bound the port, of Neutron's mechanism drivers."""
    return 'ovn' in vif['details'].get('bound_drivers', {}).values()


def _routes(subnets: list[model.Subnet], ovn: bool) -> tuple[Route, ...]:
    """Return the routes of an interface, one for a destination.

    A subnet's own routes go before its gateway (RFC 3442), an earlier
    subnet before a later one.

    :param ovn: it is OVN that answers for the metadata service
    """
    networks = [ipaddress.ip_network(s['cidr']) for s in subnets]
    routes: dict[str, Route] = {}
    for destination, gateway in [*_static_routes(subnets),
                                 *_default_routes(subnets),
                                 *_metadata_routes(subnets),
                                 *(_ovn_metadata_routes(subnets)
                                   if ovn else [])]:
        routes.setdefault(destination, Route(
            destination, gateway, _is_onlink(gateway, networks)))
    return tuple(routes.values())


def _is_onlink(
    gateway: str | None,
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    if gateway is None:
        return False
    address = ipaddress.ip_address(gateway)
    return not (address.is_link_local
                or any(address in network for network in networks))


def _static_routes(
    subnets: list[model.Subnet],
) -> Iterator[tuple[str, str | None]]:
    for subnet in subnets:
        for route in subnet['routes']:
            destination = str(ipaddress.ip_network(route['cidr'], False))
            yield destination, _address_of(route['gateway'])


def _default_routes(
    subnets: list[model.Subnet],
) -> Iterator[tuple[str, str | None]]:
    for subnet in subnets:
        gateway = _address_of(subnet['gateway'])
        if gateway:
            yield ('0.0.0.0/0' if subnet['version'] == 4 else '::/0', gateway)


def _metadata_routes(
    subnets: list[model.Subnet],
) -> Iterator[tuple[str, str | None]]:
    """Yield the way to the metadata service where there is no gateway.

    Neutron's DHCP server answers for it there and announces itself as the
    next hop, which the subnet as Nova knows it does not show.
    """
    for subnet in subnets:
        server = subnet.get_meta('dhcp_server')
        if (server and subnet['version'] == 4
                and not _address_of(subnet['gateway'])):
            yield _METADATA, server


def _ovn_metadata_routes(
    subnets: list[model.Subnet],
) -> Iterator[tuple[str, str | None]]:
    """Yield the way to the metadata service that OVN has on every network.

    No router has it there. OVN's DHCP announces its address as the next
    hop, which the subnet as Nova knows it does not show; but the service
    also answers on the link for the address that everyone asks.
    """
    if any(subnet['version'] == 4 for subnet in subnets):
        yield _METADATA, None


def _subnet_nameservers(subnet: model.Subnet) -> list[str]:
    if subnet['dns']:
        named = [server['address'] for server in subnet['dns']]
        return [address for address in named
                if not ipaddress.ip_address(address).is_unspecified]
    server = subnet.get_meta('dhcp_server')
    announced = subnet['version'] == 4 or str(
        subnet.get_meta('ipv6_address_mode')).startswith('dhcpv6')
    return [server] if server and announced else []


def _address_of(ip: model.IP | None) -> str | None:
    return ip['address'] if ip else None
