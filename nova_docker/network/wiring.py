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

"""Links between a host's switch and its containers: both ends of them."""

from __future__ import annotations

import errno
import socket
import uuid

from nova import exception
from nova.network import model
from nova.network import os_vif_util
from nova import objects
import os_vif
from os_vif import exception as os_vif_exception
from os_vif import objects as os_vif_objects
from oslo_log import log as logging
from pyroute2.netlink import exceptions as netlink_exceptions

from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.network import datapath
from nova_docker.network import vif as vif_model
from nova_docker.privsep import links

LOG = logging.getLogger(__name__)

_NOBODY = str(uuid.UUID(int=0))
_NO_PORT = 'tap00000000-00'


class Wiring:
    """Plugs the ports of instances, and connects them to containers.

    os_vif.initialize() has to run before. Every method can run again.

    :param switch: what Open vSwitch says
    """

    def __init__(self, switch: datapath.Datapath) -> None:
        self._switch = switch

    def warm(self) -> None:
        """Start what the first instance would otherwise wait for.

        The daemons of our privileged functions and of os-vif's, and the
        connection to the switch.
        """
        links.ping()
        nobody = os_vif_objects.instance_info.InstanceInfo(
            uuid=_NOBODY, name='nobody')
        try:
            self._switch.has_port(_NO_PORT)
            os_vif.unplug(_port_of_nobody(), nobody)
        except Exception as error:
            LOG.warning('Open vSwitch does not answer: no server can start '
                        'until it does: %s', error)

    def plug(self, instance: objects.Instance, vif: model.VIF) -> None:
        """Put a port's host end on the switch, which tells Neutron.

        Ends :meth:`silence`.

        :raises UnsupportedVif: we have no wiring for the port's type
        :raises VirtualInterfacePlugException: the switch refused
        """
        interface = vif_model.describe(vif)
        try:
            try:
                self._plug(instance, vif, interface)
            except Exception as error:
                if not _is_of_vanished_link(error):
                    raise
                # The kernel takes the link of a namespace that has ended
                # when it comes to it, which may be in the midst of this.
                LOG.info('The old link of port %s went while it was plugged: '
                         'plugging it with a new one.', vif['id'],
                         instance=instance)
                self._plug(instance, vif, interface)
        except Exception as error:
            raise exception.VirtualInterfacePlugException(
                f'Port {vif["id"]} could not be plugged: {error}') from error

    def _plug(self, instance: objects.Instance, vif: model.VIF,
              interface: vif_model.Interface) -> None:
        is_new = _create_pair(instance, interface)
        if self._is_left_over(interface, is_new):
            self._unplug_switch(instance, vif, interface)
            _create_pair(instance, interface)
        self._plug_switch(instance, vif, interface)

    @staticmethod
    def silence(vif: model.VIF) -> None:
        """Let a port carry nothing until :meth:`end_silence`, or a plug."""
        links.silence(vif_model.host_name(vif))

    @staticmethod
    def end_silence(vif: model.VIF) -> None:
        """Let a plugged port carry again; one that is gone stays so."""
        links.end_silence(vif_model.host_name(vif))

    def unplug(self, instance: objects.Instance, vif: model.VIF) -> None:
        """Take a port off the switch and remove both ends of its link.

        :raises VirtualInterfaceUnplugException: the switch refused; the
            link is gone all the same
        """
        try:
            interface = vif_model.describe(vif)
        except errors.UnsupportedVif as error:
            # Neutron may have unbound it since it was plugged.
            LOG.info('%s', error, instance=instance)
            links.delete_link(vif_model.host_name(vif))
            return
        try:
            self._unplug_switch(instance, vif, interface)
        finally:
            links.delete_link(interface.host_name)

    def unplug_forgotten(self, instance: objects.Instance) -> None:
        """Take away the ports that the switch still has of an instance.

        Nova does not name them any more when the server was deleted while
        its host was down, or when a crash interrupted the boot.

        :raises VirtualInterfaceUnplugException: the switch refused
        """
        for port in self._switch.ports_of(instance.uuid):
            LOG.info('Port %s is still on the switch.', port.neutron_id,
                     instance=instance)
            self.unplug(instance, _forgotten(port))

    def connect(
        self, instance: objects.Instance, vif: model.VIF, pid: int,
    ) -> str:
        """Give a container the inside end of a plugged port.

        :param pid: a process in the container's network namespace
        :returns: the interface's name in the container
        :raises UnsupportedVif: we have no wiring for the port's type
        :raises VirtualInterfacePlugException: the switch refused
        """
        interface = vif_model.describe(vif)
        name = self._hand_over(interface, pid)
        if name is None:
            # The namespace that had it ended, and takes the link along
            # whenever the kernel gets to it. Do not wait for that.
            self.unplug(instance, vif)
            self.plug(instance, vif)
            name = self._hand_over(interface, pid)
        if name is None:
            raise exception.VirtualInterfacePlugException(
                f'The link of port {vif["id"]} was removed by someone else')
        return name

    def _hand_over(
        self, interface: vif_model.Interface, pid: int,
    ) -> str | None:
        name: str | None = links.connect(
            pid, interface.host_name, interface.peer_name, interface.mac,
            interface.mtu, interface.addresses,
            [(route.destination, route.gateway, route.onlink)
             for route in interface.routes],
            interface.accept_ra,
            self._switch.offloads_checksums(interface.bridge))
        return name

    def _is_left_over(
        self, interface: vif_model.Interface, is_new: bool,
    ) -> bool:
        """Say whether the switch has remains that spoil a new port.

        One is a switch port that had another device of that name: it may
        listen to the one that is gone. And os-vif makes the parts of a
        hybrid port all together or not at all.

        :param is_new: the host end was made just now
        """
        has_port = self._switch.has_port(interface.switch_port)
        if interface.hybrid_bridge is None:
            return is_new and has_port
        return len({has_port, _exists(interface.switch_port),
                    _exists(interface.hybrid_bridge)}) > 1

    def _plug_switch(
        self, instance: objects.Instance, vif: model.VIF,
        interface: vif_model.Interface,
    ) -> None:
        port = _os_vif_port(vif, interface)
        if not interface.hybrid_bridge:
            # Nothing else does: no hypervisor adds a container's device.
            port.port_profile.create_port = True
        os_vif.plug(port, os_vif_util.nova_to_osvif_instance(instance))
        if interface.hybrid_bridge:
            links.add_to_bridge(interface.host_name, interface.hybrid_bridge)

    def _unplug_switch(
        self, instance: objects.Instance, vif: model.VIF,
        interface: vif_model.Interface,
    ) -> None:
        port = _os_vif_port(vif, interface)
        try:
            os_vif.unplug(port, os_vif_util.nova_to_osvif_instance(instance))
        except os_vif_exception.ExceptionBase as error:
            if _is_of_vanished_link(error) and not interface.hybrid_bridge:
                # The kernel was faster: it takes the link along with the
                # namespace that ended. The switch's port went before it.
                return
            raise exception.VirtualInterfaceUnplugException(
                reason=f'port {vif["id"]}: {error}') from error


def _create_pair(instance: objects.Instance,
                 interface: vif_model.Interface) -> bool:
    return bool(links.create_pair(interface.host_name, interface.peer_name,
                                  interface.mac, interface.mtu,
                                  instance.uuid))


def _is_of_vanished_link(error: Exception) -> bool:
    """Tell whether something failed for want of a link that was there.

    os-vif says less in its own error than in what it handles.
    """
    cause = (error.__context__
             if isinstance(error, (os_vif_exception.PlugException,
                                   os_vif_exception.UnplugException))
             else error)
    if isinstance(cause, netlink_exceptions.NetlinkError):
        return bool(cause.code == errno.ENODEV)
    return isinstance(cause, os_vif_exception.NetworkInterfaceNotFound)


def _os_vif_port(
    vif: model.VIF, interface: vif_model.Interface,
) -> os_vif_objects.vif.VIFBase:
    port = os_vif_util.nova_to_osvif_vif(vif)
    port.vif_name = interface.host_name
    return port


def _forgotten(port: datapath.Port) -> model.VIF:
    """Return what Nova would know of a port, as far as unplugging needs."""
    hybrid = port.name.startswith('qvo')
    return model.VIF(
        id=port.neutron_id, address=port.mac, type=model.VIF_TYPE_OVS,
        ovs_interfaceid=port.neutron_id,
        devname=None if hybrid else port.name,
        details={model.VIF_DETAILS_OVS_HYBRID_PLUG: hybrid},
        network=model.Network(id=_NOBODY, bridge=port.bridge))


def _port_of_nobody() -> os_vif_objects.vif.VIFOpenVSwitch:
    """Return a port that never was, and so can be unplugged without harm."""
    return os_vif_objects.vif.VIFOpenVSwitch(
        id=_NOBODY, vif_name=_NO_PORT, plugin='ovs',
        network=os_vif_objects.network.Network(bridge=CONF.neutron.ovs_bridge),
        port_profile=os_vif_objects.vif.VIFPortProfileOpenVSwitch(
            interface_id=_NOBODY))


def _exists(device: str) -> bool:
    try:
        socket.if_nametoindex(device)
    except OSError:
        return False
    return True
