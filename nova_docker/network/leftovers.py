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

"""Links of instances that no container has, and the switch does not know.

A nova-compute that is killed between making a link and plugging it leaves
one that nothing else tells of.
"""

from __future__ import annotations

from collections.abc import Iterator

from oslo_log import log as logging
import pyroute2

from nova_docker.privsep import links

LOG = logging.getLogger(__name__)


class Leftovers:
    """Finds such links, each of which says whose it was."""

    def owners(self) -> set[str]:
        """Return the uuids of the instances with a link on this host.

        One whose inside end is in a container is not meant: it goes with
        that.
        """
        return {owner for _name, owner in _left_on_host()}

    def remove(self, instance_uuid: str) -> None:
        """Remove the instance's links; they may be gone already."""
        for name, owner in _left_on_host():
            if owner == instance_uuid:
                LOG.info('Removing the link %s that was never plugged.', name,
                         instance_uuid=instance_uuid)
                links.delete_link(name)


def _left_on_host() -> Iterator[tuple[str, str]]:
    """Yield the names of links of ours, and whose they are."""
    with pyroute2.IPRoute() as netlink:
        found = list(netlink.get_links())
    for link in found:
        alias = link.get_attr('IFLA_IFALIAS') or ''
        owner = alias.removeprefix(links.ALIAS)
        # Only of a pair that is here with both ends.
        if owner != alias and link.get_attr('IFLA_LINK_NETNSID') is None:
            yield link.get_attr('IFLA_IFNAME'), owner
