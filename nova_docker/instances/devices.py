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

"""Device tags: what a user calls the devices of a server."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from nova.compute import utils as compute_utils

from nova import context as nova_context
from nova import objects
from nova_docker.volumes import propagate

#: What Nova calls the root disk. A container has none by that name.
ROOT = '/dev/vda'


def tag(instance: objects.Instance) -> None:
    """Give an instance the metadata of the devices that have a tag.

    The metadata service shows it, and the config drive. It is saved here
    where there is any: a container asks for it before Nova would save it.
    """
    others = [device for device in _devices(instance)
              if not isinstance(device, (objects.NetworkInterfaceMetadata,
                                         objects.DiskMetadata))]
    _tell(instance, [*_tagged(instance), *_disks(instance), *others])


def volume_tags(instance: objects.Instance) -> Mapping[str, str]:
    """Return the tags of an instance's volumes that have one, by volume."""
    return {mapping.volume_id: mapping.tag
            for mapping in _tagged_volumes(instance)}


def next_name(mappings: objects.BlockDeviceMappingList,
              wanted: str | None) -> str:
    """Return the name of a device that is added to others.

    :param wanted: by the user; its letter counts
    """
    used = [mapping.device_name for mapping in mappings
            if mapping.device_name]
    return str(compute_utils.get_next_device_name(
        None, [ROOT, *used], ROOT, wanted))


def share(instance: objects.Instance,
          shares: Iterable[objects.ShareMapping]) -> None:
    """Give an instance the metadata of the shares that it starts with."""
    before = _shares(instance)
    now = [objects.ShareMetadata(share_id=each.share_id, tag=each.tag)
           for each in shares]
    if before or now:
        others = [device for device in _devices(instance)
                  if not isinstance(device, objects.ShareMetadata)]
        _tell(instance, [*others, *now])


def _tell(instance: objects.Instance,
          devices: Sequence[objects.DeviceMetadata]) -> None:
    instance.device_metadata = (
        objects.InstanceDeviceMetadata(devices=devices) if devices else None)
    if devices:
        instance.save()


def _devices(instance: objects.Instance) -> list[objects.DeviceMetadata]:
    known = instance.device_metadata
    return list(known.devices) if known else []


def _shares(instance: objects.Instance) -> list[objects.ShareMetadata]:
    return [device for device in _devices(instance)
            if isinstance(device, objects.ShareMetadata)]


def _tagged(instance: objects.Instance
            ) -> list[objects.NetworkInterfaceMetadata]:
    """Return the tagged ports; they are on no bus, so they have none."""
    ports = objects.VirtualInterfaceList.get_by_instance_uuid(
        nova_context.get_admin_context(), instance.uuid)
    return [
        objects.NetworkInterfaceMetadata(mac=port.address, tags=[port.tag])
        for port in ports if 'tag' in port and port.tag]


def _disks(instance: objects.Instance) -> list[objects.DiskMetadata]:
    """Return the tagged volumes, with the directory of each."""
    return [
        objects.DiskMetadata(serial=mapping.volume_id, tags=[mapping.tag],
                             **_path(mapping))
        for mapping in _tagged_volumes(instance)]


def _path(mapping: objects.BlockDeviceMapping) -> dict[str, str]:
    """Return where a volume is, unless its tag can be no name there."""
    if 'boot_index' in mapping and mapping.boot_index == 0:
        return {'path': '/'}
    return ({'path': f'/volumes/{mapping.tag}'}
            if propagate.is_name(mapping.tag) else {})


def _tagged_volumes(instance: objects.Instance
                    ) -> list[objects.BlockDeviceMapping]:
    mappings = objects.BlockDeviceMappingList.get_by_instance_uuid(
        nova_context.get_admin_context(), instance.uuid)
    return [mapping for mapping in mappings
            if mapping.volume_id and 'tag' in mapping and mapping.tag]
