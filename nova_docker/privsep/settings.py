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

"""Settings of an interface, applied in the namespace that it is in."""

from collections.abc import Iterable
from collections.abc import Sequence
import contextlib
import dataclasses
import errno
import ipaddress
import itertools
from typing import Any

import pyroute2
from pyroute2.netlink import exceptions
from pyroute2.netlink.rtnl import ifaddrmsg
import tenacity

from nova_docker.privsep import offload
from nova_docker.privsep import routes

_IFF_UP = 1
_LOOPBACK = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """What links.connect() is asked for, in its words."""

    mac: str
    mtu: int
    addresses: Sequence[str]
    routes: Sequence[routes.Wanted]
    accept_ra: bool
    offload: bool


# The kernel breaks a list off when an entry changes meanwhile. Applying the
# same settings once more does no harm.
@tenacity.retry(
    retry=tenacity.retry_if_exception_type(exceptions.NetlinkDumpInterrupted),
    stop=tenacity.stop_after_attempt(20), reraise=True)
def apply(
    arrival_name: str, ends: tuple[int, int], wanted: Settings,
) -> str | None:
    """Set an interface right and return its name.

    :param arrival_name: what it is called as long as it is new here
    :param ends: the numbers of its host end and of itself
    :returns: None when it is not here
    """
    with pyroute2.IPRoute() as netlink:
        links = list(netlink.get_links())
        link = _find(links, ends)
        if link is None:
            return None
        name = link.get_attr('IFLA_IFNAME')
        _set_kernel_options(name, wanted)
        if name == arrival_name:
            taken = {link.get_attr('IFLA_IFNAME') for link in links}
            name = _bring_up_as_new(netlink, link, taken, wanted)
        else:
            _bring_up(netlink, link, wanted)
        _bring_up_loopback(netlink, links)
        _set_addresses(netlink, link['index'], wanted.addresses)
        routes.apply(netlink, link['index'], name, wanted.routes)
        return str(name)


def write_sysctl(family: str, name: str, key: str, value: int) -> None:
    """Set a kernel option of an interface, if the kernel has the option."""
    # A kernel without IPv6 has none of its options.
    with (contextlib.suppress(FileNotFoundError),
          open(f'/proc/sys/net/{family}/conf/{name}/{key}', 'w') as option):
        option.write(str(value))


def _find(links: Iterable[Any], ends: tuple[int, int]) -> Any:
    """Return the link that is the other end of the host's.

    Not the MAC address tells it: a workload may have changed that.
    """
    return next((link for link in links
                 if (link.get_attr('IFLA_LINK'), link['index']) == ends
                 and link.get_attr('IFLA_LINK_NETNSID') is not None), None)


def _set_kernel_options(name: str, wanted: Settings) -> None:
    # Without it the others of a subnet go with the first of its addresses.
    write_sysctl('ipv4', name, 'promote_secondaries', 1)
    # An engine switches IPv6 off in a namespace that it adds no IPv6 to.
    write_sysctl('ipv6', 'all', 'disable_ipv6', 0)
    # Neutron gives every address, so none is made up here, and tells who
    # may send router advertisements. It hands out no address twice, so
    # there is no need to wait for duplicate address detection.
    for key, value in (('accept_ra', int(wanted.accept_ra)),
                       ('autoconf', 0),
                       ('accept_dad', 0),
                       ('addr_gen_mode', 0)):
        write_sysctl('ipv6', name, key, value)
    offload.set_transmit(name, wanted.offload)


def _bring_up_as_new(
    netlink: pyroute2.IPRoute, link: Any, taken: set[str], wanted: Settings,
) -> str:
    """Bring an interface up under the lowest free name and return that."""
    names = (f'eth{number}' for number in itertools.count())
    while True:
        name = next(name for name in names if name not in taken)
        try:
            _bring_up(netlink, link, wanted, ifname=name)
            return name
        except exceptions.NetlinkError as error:
            # Another interface of the server came in at the same time.
            if error.code != errno.EEXIST:
                raise


def _bring_up(
    netlink: pyroute2.IPRoute, link: Any, wanted: Settings, **more: str,
) -> None:
    netlink.link('set', index=link['index'], address=wanted.mac,
                 mtu=wanted.mtu, state='up', **more)


def _bring_up_loopback(
    netlink: pyroute2.IPRoute, links: Iterable[Any],
) -> None:
    loopback = next(li for li in links if li['index'] == _LOOPBACK)
    if not loopback['flags'] & _IFF_UP:
        netlink.link('set', index=_LOOPBACK, state='up')


def _set_addresses(
    netlink: pyroute2.IPRoute, index: int, wanted: Sequence[str],
) -> None:
    present = {f"{found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}"
               for found in netlink.get_addr(index=index)
               if _is_ours(found)}
    for address in present.difference(wanted):
        netlink.addr('del', index=index, address=address)
    for address in wanted:
        if address not in present:
            netlink.addr('add', index=index, address=address,
                         flags=_address_flags(address))


def _is_ours(address: Any) -> bool:
    """Tell an address that we gave from one that the kernel made up."""
    permanent = address['flags'] & ifaddrmsg.IFA_F_PERMANENT
    return bool(permanent) and address['scope'] == 0


def _address_flags(address: str) -> int:
    version = ipaddress.ip_interface(address).version
    return ifaddrmsg.IFA_F_NODAD if version == 6 else 0
