# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Fill the cloud: flavors, images, networks, keys, groups, volume types.

Everything is looked for first: what is there already is left as it is.
"""

import json
import pathlib
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives import serialization
import openstack

# name, memory in MiB, virtual processors, root disk in GiB
FLAVORS = (
    ('m1.nano', 64, 1, 1),
    ('m1.tiny', 256, 1, 1),
    ('m1.small', 1024, 1, 2),
)
IMAGE_PROPERTIES = {'img_hv_type': 'docker', 'hw_vm_mode': 'exe'}
WEB_RULES = (('icmp', None), ('tcp', 22), ('tcp', 80))


def ensure_flavors(cloud: Any) -> None:
    known = {flavor.name for flavor in cloud.compute.flavors()}
    for name, memory, processors, disk in FLAVORS:
        if name not in known:
            cloud.compute.create_flavor(
                name=name, ram=memory, vcpus=processors, disk=disk)


def ensure_image(cloud: Any, name: str, path: pathlib.Path,
                 digest: str) -> None:
    """Upload an image unless this very one is there."""
    found = [image for image in cloud.image.images(
        name=name, visibility='public') if image.name == name]
    for image in found:
        if image.status == 'active' and image.hash_value == digest:
            return
    for image in found:
        cloud.image.delete_image(image)
    image = cloud.image.create_image(
        name=name, filename=str(path), container_format='docker',
        disk_format='raw', visibility='public', wait=True,
        **IMAGE_PROPERTIES)
    print(f'image {name}: {image.id}', file=sys.stderr)


def ensure_external(admin: Any, network: dict[str, Any]) -> Any:
    found = admin.network.find_network('public')
    if not found:
        found = admin.network.create_network(
            name='public', is_router_external=True,
            provider_network_type='flat',
            provider_physical_network='public')
    if not found.is_default:
        # The one that `openstack network auto allocated topology` uses.
        found = admin.network.update_network(found, is_default=True)
    if not found.subnet_ids:
        admin.network.create_subnet(
            name='public', network_id=found.id, ip_version=4,
            cidr=network['external_cidr'], is_dhcp_enabled=False,
            gateway_ip=network['external_gateway'],
            allocation_pools=[dict(zip(
                ('start', 'end'), network['external_pool'],
                strict=True))])
    return found


def ensure_subnet_pool(admin: Any, network: dict[str, Any]) -> None:
    """Where the subnets come from that Neutron makes by itself."""
    if not admin.network.find_subnet_pool('default'):
        admin.network.create_subnet_pool(
            name='default', prefixes=[network['subnet_pool']],
            default_prefix_length=24, is_default=True, is_shared=True)


def ensure_private(demo: Any, external: Any,
                   network: dict[str, Any]) -> None:
    found = (demo.network.find_network('private') or
             demo.network.create_network(name='private'))
    subnet = (demo.network.find_subnet('private') or
              demo.network.create_subnet(
                  name='private', network_id=found.id, ip_version=4,
                  cidr=network['private_cidr']))
    router = (demo.network.find_router('router') or
              demo.network.create_router(
                  name='router',
                  external_gateway_info={'network_id': external.id}))
    ports = demo.network.ports(device_id=router.id, network_id=found.id)
    if not list(ports):
        demo.network.add_interface_to_router(router, subnet_id=subnet.id)


def ensure_web_group(demo: Any) -> None:
    group = (demo.network.find_security_group('web') or
             demo.network.create_security_group(
                 name='web', description='ping, SSH and HTTP'))
    known = {(rule['protocol'], rule['port_range_min'])
             for rule in demo.network.get_security_group(
                 group).security_group_rules
             if rule['direction'] == 'ingress'}
    for protocol, port in WEB_RULES:
        if (protocol, port) not in known:
            demo.network.create_security_group_rule(
                security_group_id=group.id, direction='ingress',
                ethertype='IPv4', protocol=protocol,
                port_range_min=port, port_range_max=port)


def ensure_multiattach(admin: Any, name: str) -> None:
    """A type of volumes that may be attached to several servers."""
    if not admin.block_storage.find_type(name):
        admin.block_storage.create_type(
            name=name, extra_specs={'multiattach': '<is> True'})


def ensure_key_pair(demo: Any, path: pathlib.Path) -> None:
    """The key pair `demo`, its private half in the file."""
    found = demo.compute.find_keypair('demo')
    if found and path.exists():
        return
    if found:
        demo.compute.delete_keypair(found)
    key = ed25519.Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption()))
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    demo.compute.create_keypair(
        name='demo', public_key=f'{public.decode()} demo')


def main() -> None:
    request = json.load(sys.stdin)
    admin: Any = openstack.connect(cloud='admin')
    demo: Any = openstack.connect(cloud='demo')
    ensure_flavors(admin)
    ensure_private(demo, ensure_external(admin, request['network']),
                   request['network'])
    ensure_subnet_pool(admin, request['network'])
    ensure_web_group(demo)
    ensure_multiattach(admin, request['multiattach'])
    ensure_key_pair(demo, pathlib.Path(request['private_key']))
    for name, (path, digest) in request['images'].items():
        ensure_image(admin, name, pathlib.Path(path), digest)


if __name__ == '__main__':
    main()
