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

"""Makes things in the cloud, and takes every one of them away again."""

from __future__ import annotations

import base64
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import io
from typing import Any
import uuid

from openstack import exceptions

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import volumes

#: Opens ping, SSH and HTTP; dockenstack provides it.
OPEN_GROUP = 'web'


def new_name() -> str:
    return f'test-{uuid.uuid4().hex[:8]}'


class Workbench:
    """Makes servers and what they need, in the demo project.

    :param cleanup: unittest's addCleanup or addClassCleanup
    """

    def __init__(self, cleanup: Callable[..., Any]) -> None:
        self._cleanup = cleanup
        self._demo = clouds.connection('demo')
        self._admin = clouds.connection('admin')

    # Servers

    def server(self, image: str = 'busybox', flavor: str = 'm1.nano', *,
               wait: Sequence[str] = ('ACTIVE', 'SHUTOFF'), network: str = '',
               user_data: str = '', microversion: str = '',
               **more: Any) -> servers.Server:
        """Boot a server.

        :param image: name or id, as is ``flavor``
        :param wait: the states to wait for; none to return at once
        :param network: id of its network; ``private`` by default
        :param microversion: of the compute API, if an old one is needed
        :param more: as the compute API has it
        """
        network = network or clouds.network_id('private')
        booted = servers.Server(self._boot(microversion, {
            'name': new_name(),
            'imageRef': clouds.image_id(image),
            'flavorRef': clouds.flavor_id(flavor),
            'networks': [{'uuid': network}],
            'key_name': 'demo',
            'security_groups': [{'name': OPEN_GROUP}],
            'user_data': base64.b64encode(user_data.encode()).decode(),
            **more}))
        self._cleanup(self.delete, booted)
        if wait:
            booted.wait_for(*wait)
        return booted

    def _boot(self, microversion: str, server: Mapping[str, Any]) -> str:
        """Ask for a server, as the API has it, and return its id."""
        if not microversion:
            return str(self._demo.compute.create_server(**server).id)
        answer = self._demo.compute.post(
            '/servers', json={'server': server}, microversion=microversion)
        exceptions.raise_from_response(answer)
        return str(answer.json()['server']['id'])

    def prints(self, command: str, **more: Any) -> str:
        """Return what a command says as the command of a server.

        :param command: for a shell
        :param more: as :meth:`server` has it
        """
        metadata = {'docker:command': f"sh -c '{command}'",
                    **more.pop('metadata', {})}
        return self.server(metadata=metadata, **more).printed()

    def login(self, on: servers.Server) -> guests.Guest:
        """Return a login on a server, through a floating IP of its own."""
        login = guests.Guest(self.floating_ip(on))
        self._cleanup(login.close)
        return login

    def delete(self, booted: servers.Server) -> None:
        """Delete a server, which may be gone, and see that nothing is left.

        :raises AssertionError: naming what is
        """
        traces = host.Traces.of(booted.id)
        self._demo.compute.delete_server(booted.id, ignore_missing=True)
        clouds.wait_until(lambda: self._is_gone(booted),
                          f'{booted.id} is deleted')
        left: list[str] = []

        def nothing_left() -> bool:
            left[:] = traces.left()
            return not left
        with contextlib.suppress(AssertionError):
            clouds.wait_until(nothing_left, 'nothing is left')
        if left:
            raise AssertionError(f'left of {booted.id}: {", ".join(left)}')

    def _is_gone(self, booted: servers.Server) -> bool:
        try:
            return booted.show().status == 'DELETED'
        except exceptions.NotFoundException:
            return True

    # Images

    def image(self, content: bytes, **properties: Any) -> str:
        """Upload an image and return its id."""
        return str(self.owned_image(self._demo.image.create_image(**{
            'name': new_name(), 'data': io.BytesIO(content),
            'container_format': 'docker', 'disk_format': 'raw',
            'visibility': 'private', 'validate_checksum': False,
            **properties}).id))

    def snapshot(self, of: servers.Server) -> str:
        """Save a server as an image and return the image's id."""
        image_id = self.begin_snapshot(of)
        clouds.wait_until(
            lambda: self._demo.image.get_image(image_id).status == 'active',
            f'the snapshot {image_id} is active')
        return image_id

    def begin_snapshot(self, of: servers.Server) -> str:
        """Ask for an image of a server, and do not wait for it."""
        return str(self.owned_image(self._demo.compute.create_server_image(
            of.id, new_name()).id))

    def owned_image(self, image_id: Any) -> Any:
        """See that an image goes with the test, and return its id."""
        self._cleanup(host.remove_image, image_id)
        self._cleanup(self._demo.image.delete_image, image_id,
                      ignore_missing=True)
        return image_id

    def image_of_volume(self, volume: volumes.Volume) -> str:
        """Upload a volume as an image and return the image's id."""
        made = self._demo.block_storage.upload_volume_to_image(
            volume.id, new_name(), disk_format='raw', container_format='bare')
        image_id = str(self.owned_image(made['image_id']))
        clouds.wait_until(
            lambda: self._demo.image.get_image(image_id).status == 'active',
            f'the image {image_id} is active')
        volume.wait_for('available')
        return image_id

    # Volumes

    def volume(self, size: int = 1, **more: Any) -> volumes.Volume:
        """Make a volume.

        :param size: in GiB
        :param more: as the API has it, what it is made of, for instance
        """
        made = volumes.Volume(self._demo.block_storage.create_volume(
            name=new_name(), size=size, **more).id)
        self._cleanup(self._delete_volume, made)
        made.wait_for('available')
        return made

    def _delete_volume(self, made: volumes.Volume) -> None:
        """Detach and delete a volume, and see that nothing is left."""
        for attachment in made.show().attachments:
            self._demo.compute.delete_volume_attachment(
                attachment['server_id'], made.id)
        clouds.wait_until(lambda: made.show().status != 'detaching'
                          and not made.show().attachments,
                          f'volume {made.id} is nowhere attached')
        self._demo.block_storage.delete_volume(made.id)
        clouds.wait_until(lambda: not made.traces(),
                          f'nothing is left of volume {made.id}')

    def volume_type(self, extra_specs: Mapping[str, str]) -> str:
        """Have an operator make a volume type; return its name."""
        storage = self._admin.block_storage
        made = storage.create_type(name=new_name(),
                                   extra_specs=dict(extra_specs))
        self._cleanup(self._delete_volume_type, made.id)
        return str(made.name)

    def _delete_volume_type(self, made: str) -> None:
        """Delete a type as soon as the last volume of it is gone."""
        def is_deleted() -> bool:
            try:
                self._admin.block_storage.delete_type(made)
            except exceptions.BadRequestException:
                return False
            return True
        clouds.wait_until(is_deleted, f'the volume type {made} is unused')

    def volume_snapshot(self, of: volumes.Volume) -> str:
        """Make a snapshot of a volume and return its id."""
        storage = self._demo.block_storage
        made = storage.create_snapshot(volume_id=of.id, name=new_name())
        return self.owned_volume_snapshot(made.id)

    def owned_volume_snapshot(self, snapshot: str) -> str:
        """See that a snapshot goes with the test, and return its id."""
        self._cleanup(self._delete_volume_snapshot, snapshot)
        clouds.wait_until(
            lambda: self._demo.block_storage.get_snapshot(
                snapshot).status == 'available',
            f'the snapshot {snapshot} is available')
        return snapshot

    def _delete_volume_snapshot(self, snapshot: str) -> None:
        storage = self._demo.block_storage
        storage.delete_snapshot(snapshot)
        clouds.wait_until(
            lambda: storage.find_snapshot(snapshot) is None,
            f'the snapshot {snapshot} is gone')

    # Flavors

    def flavor(self, extra_specs: Mapping[str, str], *, ram: int = 64,
               vcpus: int = 1, ephemeral: int = 0, swap: int = 0) -> str:
        """Have an operator make a flavor; return its id."""
        made = self._admin.compute.create_flavor(
            name=new_name(), ram=ram, vcpus=vcpus, disk=1,
            ephemeral=ephemeral, swap=swap)
        self._cleanup(self._admin.compute.delete_flavor, made.id)
        # Since 2.86 the API refuses what no validator allows.
        answer = self._admin.compute.post(
            f'/flavors/{made.id}/os-extra_specs', microversion='2.86',
            json={'extra_specs': dict(extra_specs)})
        exceptions.raise_from_response(answer)
        return str(made.id)

    # Scheduling

    def server_group(self, policy: str) -> str:
        """Make a server group and return its id."""
        answer = self._demo.compute.post(
            '/os-server-groups', microversion='2.64',
            json={'server_group': {'name': new_name(), 'policy': policy}})
        exceptions.raise_from_response(answer)
        made = str(answer.json()['server_group']['id'])
        self._cleanup(self._demo.compute.delete_server_group, made)
        return made

    def aggregate(self, host_name: str) -> str:
        """Have an operator make an aggregate of one host; return its id."""
        compute = self._admin.compute
        made = compute.create_aggregate(name=new_name())
        self._cleanup(compute.delete_aggregate, made.id)
        compute.add_host_to_aggregate(made.id, host_name)
        self._cleanup(compute.remove_host_from_aggregate, made.id, host_name)
        return str(made.id)

    def zone(self, host_name: str) -> str:
        """Have an operator make a zone of one host; return its name."""
        name, compute = new_name(), self._admin.compute
        made = compute.create_aggregate(name=name, availability_zone=name)
        self._cleanup(compute.delete_aggregate, made.id)
        compute.add_host_to_aggregate(made.id, host_name)
        self._cleanup(compute.remove_host_from_aggregate, made.id, host_name)
        return name

    # Network

    def network(self, cidr: str, **subnet: Any) -> str:
        """Make a network with one subnet and return its id."""
        made = self._demo.network.create_network(name=new_name())
        self._cleanup(self._demo.network.delete_network, made.id)
        self.subnet(str(made.id), ip_version=4, cidr=cidr, **subnet)
        return str(made.id)

    def subnet(self, network: str, **subnet: Any) -> None:
        """Make a further subnet, which goes with its network."""
        self._demo.network.create_subnet(network_id=network, **subnet)

    def port(self, network: str, **more: Any) -> str:
        """Make a port and return its id."""
        made = self._demo.network.create_port(
            network_id=network, name=new_name(), **more)
        self._cleanup(self._demo.network.delete_port, made.id)
        return str(made.id)

    def trunk(self, port: str) -> str:
        """Make a port the parent of a trunk; return the trunk's id."""
        made = self._demo.network.create_trunk(port_id=port, name=new_name())
        self._cleanup(self._demo.network.delete_trunk, made.id,
                      ignore_missing=True)
        return str(made.id)

    def security_group(self) -> str:
        """Make a security group that lets nothing in; return its id."""
        made = self._demo.network.create_security_group(name=new_name())
        self._cleanup(self._demo.network.delete_security_group, made.id)
        return str(made.id)

    def floating_ip(self, on: servers.Server) -> str:
        """Give a server a floating IP and return the address."""
        made = self._demo.network.create_ip(
            floating_network_id=clouds.network_id('public'),
            port_id=on.ports()[0].id)
        self._cleanup(self._demo.network.delete_ip, made.id)
        return str(made.floating_ip_address)
