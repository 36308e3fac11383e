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

"""Privileged acts on the links between the host and its containers."""

from collections.abc import Sequence
import errno
from typing import Any

import pyroute2
from pyroute2.netlink import exceptions

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import namespaces
from nova_docker.privsep import settings

#: The host end says in its alias whose it is: so what no record tells of, and
#: looks like ours, can be told from what somebody else has made.
ALIAS = 'nova-docker instance '


@privsep.network_pctxt.entrypoint
def ping() -> None:
    """Do nothing: the first call of a process starts the daemon."""


@privsep.network_pctxt.entrypoint
def create_pair(host_name: str, peer_name: str, mac: str, mtu: int,
                owner: str) -> bool:
    """Make both ends of an interface; a pair that is there is set up.

    :param owner: the instance's uuid, which the host end tells
    :param mac: the inside end's address
    :param mtu: in bytes
    :returns: whether it is new
    """
    checks.host_end(host_name)
    checks.inside_end(peer_name)
    alias = f'{ALIAS}{checks.instance(owner)}'
    with pyroute2.IPRoute() as netlink:
        link = _find(netlink, host_name)
        if link is not None and not _is_veth(link):
            # Whoever made it is gone: the name belongs to this port alone.
            netlink.link('del', index=link['index'])
            link = None
        if link is None:
            _add(netlink, host_name, peer_name, mac, mtu)
        which = {'index': link['index']} if link else {'ifname': host_name}
        netlink.link('set', **which, state='up', ifalias=alias)
        return link is None


@privsep.network_pctxt.entrypoint
def silence(host_name: str) -> None:
    """Set an interface down; :func:`create_pair` sets it up again too.

    The inside end has no carrier then, and keeps its addresses and routes.
    One that is gone is fine.
    """
    _set_state(host_name, 'down')


@privsep.network_pctxt.entrypoint
def end_silence(host_name: str) -> None:
    """Set an interface up. One that is gone stays so."""
    _set_state(host_name, 'up')


@privsep.network_pctxt.entrypoint
def delete_link(host_name: str) -> None:
    """Remove an interface, both ends of it. One that is gone is fine."""
    checks.host_end(host_name)
    with pyroute2.IPRoute() as netlink:
        link = _find(netlink, host_name)
        if link is not None:
            _tolerate(errno.ENODEV, netlink.link, 'del', index=link['index'])


@privsep.network_pctxt.entrypoint
def add_to_bridge(host_name: str, bridge: str) -> None:
    """Make the host end a port of the Linux bridge that filters for it."""
    checks.host_end(host_name)
    checks.hybrid_bridge(bridge)
    with pyroute2.IPRoute() as netlink:
        master = netlink.link('get', ifname=bridge)[0]['index']
        netlink.link('set', ifname=host_name, master=master)


@privsep.network_pctxt.entrypoint
def connect(
    pid: int,
    host_name: str,
    peer_name: str,
    mac: str,
    mtu: int,
    addresses: Sequence[str],
    routes: Sequence[tuple[str, str | None, bool]],
    accept_ra: bool,
    offload: bool,
) -> str | None:
    """Give a process's network namespace the inside end of an interface.

    What is there already is set right: the end keeps its name, and
    addresses and routes that are not asked for go.

    :param mtu: in bytes
    :param addresses: in CIDR notation
    :param routes: destination in CIDR notation, next hop, and whether the
        next hop is on the link though in no subnet
    :param accept_ra: take the IPv6 default route from the network's routers
    :param offload: leave checksums to what the host end is plugged into
    :returns: the interface's name inside; None if the inside end is neither
        on the host nor in the namespace
    """
    checks.process(pid)
    checks.host_end(host_name)
    checks.inside_end(peer_name)
    with namespaces.of_process(pid) as namespace:
        index = _hand_over(host_name, peer_name, namespace)
        if index is None:
            return None
        wanted = settings.Settings(
            mac, mtu, addresses, routes, accept_ra, offload)
        return namespaces.run_in(
            namespace, settings.apply, peer_name, index, wanted)


def _hand_over(
    host_name: str, peer_name: str, namespace: int,
) -> tuple[int, int] | None:
    """Move the inside end to a namespace unless it has left the host.

    :param namespace: an open descriptor of the namespace
    :returns: the numbers of the host end and of the inside end
    """
    with pyroute2.IPRoute() as netlink:
        link = _find(netlink, host_name)
        if link is None:
            return None
        # A peer in another namespace has that namespace's number beside
        # its own.
        if link.get_attr('IFLA_LINK_NETNSID') is None:
            netlink.link('set', ifname=peer_name, net_ns_fd=namespace)
            # Another interface there may have had the same number.
            link = _find(netlink, host_name) or link
        return link['index'], link.get_attr('IFLA_LINK')


def _set_state(host_name: str, state: str) -> None:
    checks.host_end(host_name)
    with pyroute2.IPRoute() as netlink:
        link = _find(netlink, host_name)
        if link is not None:
            _tolerate(errno.ENODEV, netlink.link, 'set', index=link['index'],
                      state=state)


def _add(
    netlink: pyroute2.IPRoute,
    host_name: str,
    peer_name: str,
    mac: str,
    mtu: int,
) -> None:
    peer = {'ifname': peer_name, 'address': mac, 'mtu': mtu}
    _tolerate(errno.EEXIST, netlink.link, 'add', kind='veth',
              ifname=host_name, mtu=mtu, state='up', peer=peer)
    # The host has no address on it. Left alone the kernel would give it
    # one and announce that to the container.
    settings.write_sysctl('ipv6', host_name, 'disable_ipv6', 1)


def _find(netlink: pyroute2.IPRoute, name: str) -> Any:
    found = _tolerate(errno.ENODEV, netlink.link, 'get', ifname=name)
    return found[0] if found else None


def _is_veth(link: Any) -> bool:
    return bool(link.get_nested('IFLA_LINKINFO', 'IFLA_INFO_KIND') == 'veth')


def _tolerate(code: int, act: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a netlink request for which one error number is no error."""
    try:
        return act(*args, **kwargs)
    except exceptions.NetlinkError as error:
        if error.code != code:
            raise
        return None
