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

"""Containers get their interfaces as Neutron describes them."""

from concurrent import futures
import json
import os
import tempfile
from typing import Any

from nova.network import model

from nova_docker.tests.functional.network import base
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import ports
from nova_docker.tests.functional.network import processes

_V6_DEFAULT = 'default via 2001:db8::fe dev eth0 metric 1024 pref medium'


class ConnectTestCase(base.NetworkTestCase):
    """Every test judges what a program in the container would see."""

    def setUp(self) -> None:
        super().setUp()
        self.box = self.container()

    def connect(self, vif: model.VIF, box: processes.Container) -> str:
        """Plug a port and connect a container to it."""
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        return self.wiring.connect(self.instance, vif, box.pid)

    def changed(self, vif: model.VIF, *subnets: model.Subnet) -> model.VIF:
        """Return the port with other subnets."""
        network = model.Network(
            id=vif['network']['id'], bridge=openvswitch.BRIDGE,
            label='private', subnets=list(subnets), mtu=1442)
        return model.VIF(**{**vif, 'network': network})

    def seen(self) -> tuple[Any, ...]:
        """Return what tells a change of the container's eth0."""
        link = self.box.links()['eth0']
        return (link['ifindex'], link['address'], self.box.addresses(),
                self.box.routes(), self.box.routes(6))

    def option(self, key: str) -> str:
        """Return a kernel option of the container's eth0 for IPv6."""
        return self.box.run(
            'cat', f'/proc/sys/net/ipv6/conf/eth0/{key}').strip()

    def test_interface_is_as_neutron_says(self) -> None:
        self.assertEqual('eth0', self.connect(ports.make_vif(1), self.box))
        link = self.box.links()['eth0']
        self.assertEqual('fa:16:3e:00:00:01', link['address'])
        self.assertEqual(1442, link['mtu'])
        self.assertLessEqual({'UP', 'LOWER_UP'}, set(link['flags']))
        self.assertEqual({'10.9.0.1/24', '2001:db8::1/64'},
                         self.box.addresses())
        self.assertEqual({'default via 10.9.0.254 dev eth0',
                          '192.0.2.0/24 via 10.9.0.253 dev eth0'},
                         self.box.routes())
        self.assertEqual({_V6_DEFAULT}, self.box.routes(6))

    def test_loopback_is_up(self) -> None:
        self.connect(ports.make_vif(1), self.box)
        link = json.loads(self.box.run('ip', '-json', 'address', 'show',
                                       'lo'))[0]
        self.assertEqual(['127.0.0.1', '::1'],
                         [found['local'] for found in link['addr_info']])

    def test_ipv6_addresses_can_be_used_at_once(self) -> None:
        self.connect(ports.make_vif(1), self.box)
        self.assertEqual(set(), {
            found['local'] for found in self.box.links()['eth0']['addr_info']
            if found['scope'] == 'global' and found.get('tentative')})

    def test_ipv6_works_where_engine_switched_it_off(self) -> None:
        for name in ('all', 'default', 'lo'):
            self.box.write(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 1)
        self.connect(ports.make_vif(1), self.box)
        self.assertIn('2001:db8::1/64', self.box.addresses())
        self.assertIn('::1', self.box.run('ip', '-6', 'address'))

    def test_router_advertisements_are_neutrons_to_allow(self) -> None:
        vif = ports.make_vif(1)
        self.connect(vif, self.box)
        self.assertEqual('0', self.option('accept_ra'))
        self.connect(self.changed(vif, ports.subnet_v6(
            1, ipv6_address_mode='slaac')), self.box)
        self.assertEqual('1', self.option('accept_ra'))
        self.assertEqual('0', self.option('autoconf'))

    def test_connect_again_changes_nothing(self) -> None:
        vif = ports.make_vif(1)
        self.connect(vif, self.box)
        before = self.seen()
        self.assertEqual('eth0', self.connect(vif, self.box))
        self.assertEqual(before, self.seen())

    def test_connect_again_applies_what_changed(self) -> None:
        vif = ports.make_vif(1)
        self.connect(vif, self.box)
        subnet = ports.subnet_v4(7, 8)
        subnet['gateway'] = model.IP('10.9.0.253', 'gateway')
        subnet['routes'] = []
        self.connect(self.changed(vif, subnet), self.box)
        self.assertEqual({'10.9.0.7/24', '10.9.0.8/24'},
                         self.box.addresses())
        self.assertEqual({'default via 10.9.0.253 dev eth0'},
                         self.box.routes())
        self.assertEqual(set(), self.box.routes(6))

    def test_one_of_several_addresses_goes(self) -> None:
        """The kernel calls the first of a subnet the primary one."""
        vif = ports.make_vif(1)
        for hosts in ((7, 8, 9), (8, 9), (9,)):
            self.connect(self.changed(vif, ports.subnet_v4(*hosts)), self.box)
            self.assertEqual({f'10.9.0.{host}/24' for host in hosts},
                             self.box.addresses())
            self.assertIn('default via 10.9.0.254 dev eth0',
                          self.box.routes())

    def test_connect_again_puts_right_what_workload_changed(self) -> None:
        vif = ports.make_vif(1)
        self.connect(vif, self.box)
        self.box.run('ip', 'link', 'set', 'eth0', 'down', 'mtu', '1300',
                     'address', '02:00:00:00:00:09')
        self.box.run('ip', 'address', 'flush', 'dev', 'eth0')
        self.assertEqual('eth0', self.connect(vif, self.box))
        link = self.box.links()['eth0']
        self.assertEqual(('fa:16:3e:00:00:01', 1442),
                         (link['address'], link['mtu']))
        self.assertIn('10.9.0.1/24', self.box.addresses())
        self.assertIn('default via 10.9.0.254 dev eth0', self.box.routes())

    def test_isolated_network_leads_to_metadata(self) -> None:
        subnet = model.Subnet(
            cidr='10.9.0.0/24', gateway=model.IP(None, 'gateway'),
            ips=[model.FixedIP(address='10.9.0.1')], dhcp_server='10.9.0.2')
        self.connect(self.changed(ports.make_vif(1), subnet), self.box)
        self.assertEqual({'169.254.169.254 via 10.9.0.2 dev eth0'},
                         self.box.routes())

    def test_gateway_may_lie_outside_its_subnet(self) -> None:
        subnet = model.Subnet(
            cidr='10.9.0.0/24', gateway=model.IP('172.16.0.1', 'gateway'),
            ips=[model.FixedIP(address='10.9.0.1')])
        self.connect(self.changed(ports.make_vif(1), subnet), self.box)
        self.assertEqual({'default via 172.16.0.1 dev eth0 onlink'},
                         self.box.routes())

    def test_port_without_addresses(self) -> None:
        vif = self.changed(ports.make_vif(1))
        self.assertEqual('eth0', self.connect(vif, self.box))
        self.assertEqual(set(), self.box.addresses())

    def test_first_of_several_interfaces_leads_out(self) -> None:
        vifs = [ports.make_vif(number) for number in (1, 2)]
        self.assertEqual(['eth0', 'eth1'],
                         [self.connect(vif, self.box) for vif in vifs])
        self.assertIn('dev eth0',
                      self.box.run('ip', 'route', 'get', '198.51.100.1'))
        self.assertLessEqual(
            {'default via 10.9.0.254 dev eth0',
             'default via 10.9.0.254 dev eth1 metric 1'}, self.box.routes())

    def test_lowest_free_name_is_taken(self) -> None:
        vifs = [ports.make_vif(number) for number in (1, 2, 3)]
        for vif in vifs[:2]:
            self.connect(vif, self.box)
        self.wiring.unplug(self.instance, vifs[0])
        self.assertEqual('eth0', self.connect(vifs[2], self.box))
        self.assertEqual('eth1', self.connect(vifs[1], self.box))
        self.assertEqual({'eth0', 'eth1'}, set(self.box.links()))

    def test_end_in_a_dead_container_is_no_obstacle(self) -> None:
        vif = ports.make_vif(1)
        self.connect(vif, self.box)
        # An open descriptor keeps the namespace, so the kernel leaves the
        # link where it is.
        namespace = os.open(f'/proc/{self.box.pid}/ns/net', os.O_RDONLY)
        self.addCleanup(os.close, namespace)
        self.box.kill()
        other = self.container()
        self.assertEqual('eth0', self.connect(vif, other))
        self.assertEqual([vif['devname']], self.switch.ports())
        self.assertIn('10.9.0.1/24', other.addresses())

    def test_process_that_ended(self) -> None:
        vif = ports.make_vif(1)
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        self.box.kill()
        with self.assertRaises(ProcessLookupError):
            self.wiring.connect(self.instance, vif, self.box.pid)

    def test_hosts_own_network_is_never_touched(self) -> None:
        vif = ports.make_vif(1)
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        process = processes.Container('--uts')
        self.addCleanup(process.kill)
        before = processes.run('ip', 'address')
        for pid in (process.pid, 1, 0, -1):
            with self.assertRaises(ValueError):
                self.wiring.connect(self.instance, vif, pid)
        self.assertEqual(before, processes.run('ip', 'address'))

    def test_eight_at_once(self) -> None:
        boxes = [self.container() for _ in range(8)]
        vifs = [ports.make_vif(number) for number in range(1, 9)]
        with futures.ThreadPoolExecutor(8) as threads:
            names = list(threads.map(self.connect, vifs, boxes))
        self.assertEqual(['eth0'] * 8, names)
        for number, box in enumerate(boxes, 1):
            self.assertIn(f'10.9.0.{number}/24', box.addresses())

    def test_eight_at_once_in_one_container(self) -> None:
        vifs = [ports.make_vif(number) for number in range(1, 9)]
        with futures.ThreadPoolExecutor(8) as threads:
            names = set(threads.map(self.connect, vifs, [self.box] * 8))
        self.assertEqual({f'eth{number}' for number in range(8)}, names)
        self.assertEqual(names, set(self.box.links()))


class RemappedTestCase(base.NetworkTestCase):
    """The engine's containers have a user namespace: their root is not ours.

    Looking into their processes takes one more capability.
    """

    def connect(self) -> set[str]:
        """Connect such a container and return its addresses."""
        box = self.container('--user', '--map-root-user', uid=100000)
        vif = ports.make_vif(1)
        self.addCleanup(self.wiring.unplug, self.instance, vif)
        self.wiring.plug(self.instance, vif)
        self.wiring.connect(self.instance, vif, box.pid)
        return box.addresses()

    def test_says_what_is_missing(self) -> None:
        with self.assertRaisesRegex(PermissionError, 'CAP_SYS_PTRACE'):
            self.connect()

    def test_works_with_the_capability(self) -> None:
        configuration = self.enterContext(tempfile.NamedTemporaryFile('w'))
        configuration.write(
            '[docker_network_privileged]\n'
            'capabilities = CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_PTRACE\n')
        configuration.flush()
        self.restart_daemon(f'--config-file {configuration.name}')
        self.addCleanup(self.restart_daemon)
        self.assertEqual({'10.9.0.1/24', '2001:db8::1/64'}, self.connect())
