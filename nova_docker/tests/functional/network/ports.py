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

"""Ports as Nova gets them from Neutron."""

from typing import Any

from nova.network import model
from oslo_utils import uuidutils

from nova_docker.tests.functional.network import openvswitch


def make_vif(number: int, **changes: Any) -> model.VIF:
    """Return a port as Nova gets it from Neutron, of two subnets.

    :param number: of the port; tells its addresses, from 1 to 200
    :param changes: attributes of the VIF to set differently
    """
    network = model.Network(
        id=uuidutils.generate_uuid(), bridge=openvswitch.BRIDGE,
        label='private', subnets=[subnet_v4(number), subnet_v6(number)],
        mtu=1442)
    port = uuidutils.generate_uuid()
    return model.VIF(**{
        'id': port,
        'address': f'fa:16:3e:00:00:{number:02x}',
        'network': network,
        'type': model.VIF_TYPE_OVS,
        'details': {'datapath_type': 'netdev'},
        'devname': f'tap{port[:11]}',
        'ovs_interfaceid': port,
        **changes})


def subnet_v4(*numbers: int) -> model.Subnet:
    """Return an IPv4 subnet and a port's addresses of it."""
    return model.Subnet(
        cidr='10.9.0.0/24',
        gateway=model.IP('10.9.0.254', 'gateway'),
        ips=[model.FixedIP(address=f'10.9.0.{number}') for number in numbers],
        routes=[model.Route('192.0.2.0/24',
                            model.IP('10.9.0.253', 'gateway'))])


def subnet_v6(*numbers: int, **meta: Any) -> model.Subnet:
    """Return an IPv6 subnet and a port's addresses of it."""
    return model.Subnet(
        cidr='2001:db8::/64',
        gateway=model.IP('2001:db8::fe', 'gateway'),
        ips=[model.FixedIP(address=f'2001:db8::{number:x}')
             for number in numbers], **meta)
