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

"""Ports come to a real switch and leave it without a trace."""

import json
import socket
from typing import Any
from unittest import mock

from nova import exception
from nova.network import model
from nova import objects
import os_vif
from oslo_utils import uuidutils

from nova_docker import errors
from nova_docker.network import leftovers
from nova_docker.tests.functional.network import base
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import ports
from nova_docker.tests.functional.network import processes


class PlugTestCase(base.NetworkTestCase):
    """Every test leaves switch and host as it found them."""

    def setUp(self) -> None:
        super().setUp()
        self.links_before = base.host_links()
        self.addCleanup(self.assert_clean)

    def assert_clean(self) -> None:
        """Fail if the switch or the host has something left of a test."""
        self.assertEqual([], self.switch.ports())
        self.assertEqual(self.links_before, base.host_links())

    def plug(self, **changes: Any) -> model.VIF:
        """Plug a port that is unplugged after the test."""
        vif = ports.make_vif(1, **changes)
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        return vif

    def external_ids(self, port: str) -> dict[str, str]:
        """Return what Neutron's agent knows a port of the switch by."""
        output = self.switch.vsctl('--format=json', '--columns=external_ids',
                                   'list', 'Interface', port)
        return dict(json.loads(output)['data'][0][0][1])

    def ifindex(self, vif: model.VIF) -> int:
        """Return the number that the kernel gave the host end."""
        output = processes.run('ip', '-json', 'link', 'show', vif['devname'])
        return int(json.loads(output)[0]['ifindex'])

    def test_switch_knows_port_as_neutron_does(self) -> None:
        vif = self.plug()
        self.assertEqual([vif['devname']], self.switch.ports())
        self.assertEqual(
            {'iface-id': vif['id'], 'iface-status': 'active',
             'attached-mac': vif['address'], 'vm-uuid': self.instance.uuid},
            self.external_ids(vif['devname']))

    def test_host_end_is_up_with_networks_mtu_and_no_address(self) -> None:
        vif = self.plug()
        output = processes.run('ip', '-json', 'address', 'show',
                               vif['devname'])
        link = json.loads(output)[0]
        self.assertIn('UP', link['flags'])
        self.assertEqual(1442, link['mtu'])
        self.assertEqual([], link['addr_info'])

    def test_plug_again_changes_nothing(self) -> None:
        vif = self.plug()
        index = self.ifindex(vif)
        self.wiring.plug(self.instance, vif)
        self.assertEqual([vif['devname']], self.switch.ports())
        self.assertEqual(index, self.ifindex(vif))

    def test_a_silenced_port_speaks_when_it_is_plugged_again(self) -> None:
        vif = self.plug()
        self.wiring.silence(vif)
        self.assertNotIn('UP', self.flags_of(vif))
        self.wiring.silence(vif)
        self.wiring.plug(self.instance, vif)
        self.assertIn('UP', self.flags_of(vif))

    def test_a_silenced_port_speaks_when_its_silence_ends(self) -> None:
        vif = self.plug()
        index = self.ifindex(vif)
        self.wiring.silence(vif)
        self.wiring.end_silence(vif)
        self.assertIn('UP', self.flags_of(vif))
        self.assertEqual(index, self.ifindex(vif))

    def test_a_port_that_is_gone_is_silent(self) -> None:
        vif = self.plug()
        self.wiring.unplug(self.instance, vif)
        self.wiring.silence(vif)
        self.wiring.end_silence(vif)
        self.assertEqual([], self.switch.ports())
        self.assertNotIn(vif['devname'],
                         [name for _, name in socket.if_nameindex()])

    def flags_of(self, vif: model.VIF) -> list[str]:
        """Return what the kernel says of the host end."""
        output = processes.run('ip', '-json', 'link', 'show', vif['devname'])
        return list(json.loads(output)[0]['flags'])

    def test_plug_restores_lost_switch_port(self) -> None:
        vif = self.plug()
        index = self.ifindex(vif)
        self.switch.vsctl('del-port', vif['devname'])
        self.wiring.plug(self.instance, vif)
        self.assertEqual(vif['id'],
                         self.external_ids(vif['devname'])['iface-id'])
        self.assertEqual(index, self.ifindex(vif))

    def test_plug_replaces_foreign_device_of_that_name(self) -> None:
        vif = ports.make_vif(1)
        processes.run('ip', 'tuntap', 'add', vif['devname'], 'mode', 'tap')
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        container = self.container()
        self.assertEqual(
            'eth0', self.wiring.connect(self.instance, vif, container.pid))

    def test_unplug_again_and_without_plug(self) -> None:
        vif = self.plug()
        self.wiring.unplug(self.instance, vif)
        self.assert_clean()
        self.wiring.unplug(self.instance, vif)
        self.wiring.unplug(self.instance, ports.make_vif(2))

    def test_unplug_after_switch_port_went(self) -> None:
        vif = self.plug()
        self.switch.vsctl('del-port', vif['devname'])
        self.wiring.unplug(self.instance, vif)
        self.assert_clean()

    def test_unplug_after_container_went(self) -> None:
        vif = self.plug()
        container = self.container()
        self.wiring.connect(self.instance, vif, container.pid)
        container.kill()
        self.wiring.unplug(self.instance, vif)
        self.assert_clean()

    def test_unplug_after_neutron_unbound_port(self) -> None:
        vif = self.plug()
        unbound = model.VIF(**{**vif, 'type': model.VIF_TYPE_UNBOUND})
        self.wiring.unplug(self.instance, unbound)
        self.assertNotIn(vif['devname'], base.host_links())

    def test_unplug_what_nova_forgot(self) -> None:
        self.plug()
        other = objects.Instance(uuid=uuidutils.generate_uuid())
        self.wiring.unplug_forgotten(other)
        self.assertEqual(1, len(self.switch.ports()))
        for _ in range(2):
            self.wiring.unplug_forgotten(self.instance)
            self.assert_clean()

    def test_a_link_says_whose_it_is_until_a_container_has_it(self) -> None:
        left = leftovers.Leftovers()
        vif = self.plug()
        self.assertEqual({self.instance.uuid}, left.owners())
        container = self.container()
        self.wiring.connect(self.instance, vif, container.pid)
        self.assertEqual(set(), left.owners())
        left.remove(self.instance.uuid)
        self.assertIn(vif['devname'], base.host_links())

    def test_a_link_that_was_not_plugged_is_removed(self) -> None:
        vif, foreign = ports.make_vif(1), ports.make_vif(2)
        processes.run('ip', 'link', 'add', foreign['devname'], 'type', 'veth')
        self.addCleanup(processes.run, 'ip', 'link', 'delete',
                        foreign['devname'])
        with mock.patch.object(os_vif, 'plug', autospec=True):
            self.wiring.plug(self.instance, vif)
        left = leftovers.Leftovers()
        left.remove(uuidutils.generate_uuid())
        self.assertIn(vif['devname'], base.host_links())
        for _ in range(2):
            left.remove(self.instance.uuid)
            self.assertNotIn(vif['devname'], base.host_links())
        self.assertEqual(set(), left.owners())
        self.assertIn(foreign['devname'], base.host_links())

    def test_other_types_are_refused_by_name(self) -> None:
        for vif_type in (model.VIF_TYPE_BRIDGE, model.VIF_TYPE_VHOSTUSER,
                         model.VIF_TYPE_BINDING_FAILED):
            vif = ports.make_vif(1, type=vif_type)
            with self.assertRaisesRegex(errors.UnsupportedVif, vif_type):
                self.wiring.plug(self.instance, vif)
            self.assert_clean()

    def test_a_trunk_is_refused(self) -> None:
        vif = ports.make_vif(1)
        vif['network']['bridge'] = 'tbr-12345678-9'
        with self.assertRaisesRegex(errors.TrunkParent, vif['id']):
            self.wiring.plug(self.instance, vif)
        self.assert_clean()

    def test_warm_leaves_nothing(self) -> None:
        self.wiring.warm()
        self.assert_clean()


class HybridPlugTestCase(base.NetworkTestCase):
    """The same where Neutron filters with iptables on a Linux bridge."""

    def setUp(self) -> None:
        super().setUp()
        self.links_before = base.host_links()
        self.vif = ports.make_vif(
            1, details={'datapath_type': 'netdev', 'ovs_hybrid_plug': True})
        self.addCleanup(self.wiring.unplug, self.instance, self.vif)
        self.port = 'qvo' + self.vif['id'][:11]
        self.bridge = 'qbr' + self.vif['id'][:11]

    def assert_plugged(self) -> None:
        """Fail unless every part of the port is in its place."""
        self.assertEqual([self.port], self.switch.ports())
        links = json.loads(processes.run('ip', '-json', 'link'))
        on_bridge = {link['ifname'] for link in links
                     if link.get('master') == self.bridge}
        self.assertEqual({self.vif['devname'], 'qvb' + self.vif['id'][:11]},
                         on_bridge)

    def test_plug(self) -> None:
        self.wiring.plug(self.instance, self.vif)
        self.assert_plugged()
        self.wiring.plug(self.instance, self.vif)
        self.assert_plugged()

    def test_plug_restores_lost_parts(self) -> None:
        self.wiring.plug(self.instance, self.vif)
        for loss in (['ovs-vsctl', f'--db={self.switch.connection}',
                      'del-port', self.port],
                     ['ip', 'link', 'delete', self.port],
                     ['ip', 'link', 'delete', self.vif['devname']],
                     ['ip', 'link', 'delete', self.bridge]):
            with self.subTest(loss=loss):
                processes.run(*loss)
                self.wiring.plug(self.instance, self.vif)
                self.assert_plugged()

    def test_unplug_leaves_nothing(self) -> None:
        self.wiring.plug(self.instance, self.vif)
        for _ in range(2):
            self.wiring.unplug(self.instance, self.vif)
            self.assertEqual([], self.switch.ports())
            self.assertEqual(self.links_before, base.host_links())

    def test_unplug_what_nova_forgot(self) -> None:
        self.wiring.plug(self.instance, self.vif)
        self.wiring.unplug_forgotten(self.instance)
        self.assertEqual([], self.switch.ports())
        self.assertEqual(self.links_before, base.host_links())


class DeadSwitchTestCase(base.NetworkTestCase):
    """Open vSwitch does not answer."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        openvswitch.use(cls, 'unix:/nonexistent')

    def test_warming_up_warns_and_goes_on(self) -> None:
        with self.assertLogs('nova_docker.network.wiring', 'WARNING') as logs:
            self.wiring.warm()
        self.assertIn('Open vSwitch does not answer', logs.output[0])

    def test_plug_fails_and_unplug_still_removes_the_link(self) -> None:
        vif = ports.make_vif(1)
        with self.assertRaisesRegex(
                exception.VirtualInterfacePlugException, vif['id']):
            self.wiring.plug(self.instance, vif)
        with self.assertRaises(exception.VirtualInterfaceUnplugException):
            self.wiring.unplug(self.instance, vif)
        self.assertNotIn(vif['devname'], base.host_links())
