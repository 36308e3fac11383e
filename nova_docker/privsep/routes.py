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

"""Static routes of an interface, in the namespace that it is in."""

from collections.abc import Iterator
from collections.abc import Sequence
import re
import socket
from typing import Any
from typing import NamedTuple

import pyroute2
from pyroute2.netlink import rtnl

#: Destination in CIDR notation, next hop, and whether the next hop is on
#: the link though in no subnet.
Wanted = Sequence[Any]

# What the kernel takes for an IPv6 route that names no priority.
_IPV6_PRIORITY = 1024

_MAIN_TABLE = 254
_ONLINK = 4

_ANYWHERE = {socket.AF_INET: '0.0.0.0', socket.AF_INET6: '::'}  # noqa: S104


_OUR_NAME = re.compile(r'eth(\d{1,3})', re.ASCII)


class _Route(NamedTuple):
    destination: str
    gateway: str | None
    priority: int
    onlink: bool


def apply(
    netlink: pyroute2.IPRoute, index: int, name: str,
    wanted: Sequence[Wanted],
) -> None:
    """Give an interface these static routes and no others."""
    rank = _rank(index, name)
    asked = {_Route(destination, gateway, _priority(destination, rank),
                    onlink)
             for destination, gateway, onlink in wanted}
    present = set(_present(netlink, index))
    for route in present - asked:
        netlink.route('del', **_request(index, route))
    for route in asked - present:
        netlink.route('replace', **_request(index, route))


def _rank(index: int, name: str) -> int:
    """Return which of several interfaces that offer a way is to be used.

    The first one, since its rank is the lowest.
    """
    # A workload that may rename its interfaces gets no say in this.
    number = _OUR_NAME.fullmatch(name)
    return int(number[1]) if number else index


def _priority(destination: str, rank: int) -> int:
    return rank + (_IPV6_PRIORITY if ':' in destination else 0)


def _present(netlink: pyroute2.IPRoute, index: int) -> Iterator[_Route]:
    for family in _ANYWHERE:
        for route in netlink.get_routes(
                family=family, oif=index, table=_MAIN_TABLE):
            if route['proto'] == rtnl.rt_proto['static']:
                yield _parse(route)


def _parse(route: Any) -> _Route:
    destination = route.get_attr('RTA_DST') or _ANYWHERE[route['family']]
    return _Route(f"{destination}/{route['dst_len']}",
                  route.get_attr('RTA_GATEWAY'),
                  route.get_attr('RTA_PRIORITY') or 0,
                  bool(route['flags'] & _ONLINK))


def _request(index: int, route: _Route) -> dict[str, Any]:
    request = {'dst': route.destination, 'oif': index,
               'priority': route.priority, 'proto': 'static',
               'family': (socket.AF_INET6 if ':' in route.destination
                          else socket.AF_INET)}
    if route.gateway:
        request['gateway'] = route.gateway
    if route.onlink:
        request['flags'] = ['onlink']
    return request
