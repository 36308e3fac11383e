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

"""What Open vSwitch says of its ports and of what its datapath can do."""

import dataclasses
import threading
from typing import Any

from oslo_log import log as logging
from vif_plug_ovs import constants
from vif_plug_ovs.ovsdb import ovsdb_lib

from nova_docker.conf import CONF

LOG = logging.getLogger(__name__)

# What the column dpdk_version holds in a build without DPDK, which does not
# segment whatever userspace-tso-enable says.
_NO_DPDK = ('', 'none')


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of an instance, as the switch knows it.

    :param neutron_id: the Neutron port's id
    """

    name: str
    neutron_id: str
    mac: str
    bridge: str


class Datapath:
    """Questions to Open vSwitch, over the connection os-vif is set to use.

    It is os-vif's own connection, since ovsdbapp makes one for a process.
    Answers come from the replica of the database that it keeps, so asking
    costs nothing. os_vif.initialize() has to run before.
    """

    def __init__(self) -> None:
        self._switch: ovsdb_lib.BaseOVS | None = None
        self._connecting = threading.Lock()

    def has_bridge(self, name: str) -> bool:
        """Say whether there is a bridge of that name."""
        return bool(self._find('Bridge', 'name', name))

    def has_port(self, name: str) -> bool:
        """Say whether a bridge has a port of that name."""
        return bool(self._find('Port', 'name', name))

    def ports_of(self, uuid: str) -> list[Port]:
        """Return the ports that os-vif has made for an instance."""
        return [
            Port(row['name'], row['external_ids']['iface-id'],
                 row['external_ids']['attached-mac'],
                 self._database.port_to_br(row['name']).execute(
                     check_error=True))
            for row in self._find('Interface', 'external_ids',
                                  {'vm-uuid': uuid}, 'name')]

    def offloads_checksums(self, bridge: str) -> bool:
        """Say whether containers may leave TCP checksums to the datapath.

        The kernel's datapath completes them. The userspace datapath does
        so only with segmentation offload; otherwise its conntrack takes
        the packets for corrupt and drops them.
        """
        asked = CONF.docker.tx_checksum_offload
        if asked != 'auto':
            return bool(asked == 'on')
        try:
            return not self._is_userspace(bridge) or self._segments()
        except Exception:
            # Without offload packets pass on every datapath, only slower.
            LOG.warning('Open vSwitch does not tell the datapath of bridge '
                        '%s: checksum offload is switched off', bridge,
                        exc_info=True)
            return False

    def _is_userspace(self, bridge: str) -> bool:
        found = self._find('Bridge', 'name', bridge, 'datapath_type')
        return any(row['datapath_type'] == constants.OVS_DATAPATH_NETDEV
                   for row in found)

    def _segments(self) -> bool:
        config, version = (
            self._database.db_get('Open_vSwitch', '.', column).execute(
                check_error=True)
            for column in ('other_config', 'dpdk_version'))
        enabled = config.get('userspace-tso-enable') == 'true'
        # An optional column without a value is an empty list.
        return enabled and (version or '') not in _NO_DPDK

    def _find(
        self, table: str, column: str, value: Any, *wanted: str,
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._database.db_find(
            table, (column, '=', value), columns=[column, *wanted],
        ).execute(check_error=True)
        return found

    @property
    def _database(self) -> Any:
        with self._connecting:
            if self._switch is None:
                self._switch = ovsdb_lib.BaseOVS(CONF.os_vif_ovs)
            return self._switch.ovsdb
