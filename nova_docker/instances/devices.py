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

from nova import context as nova_context
from nova import objects


def tag(instance: objects.Instance) -> None:
    """Give an instance the metadata of the devices that have a tag.

    The metadata service shows it, and the config drive. It is saved here
    where there is any: a container asks for it before Nova would save it.
    """
    instance.device_metadata = _tagged(instance)
    if instance.device_metadata is not None:
        instance.save()


def _tagged(instance: objects.Instance
            ) -> objects.InstanceDeviceMetadata | None:
    """Return the tagged devices; they are on no bus, so they have none."""
    ports = objects.VirtualInterfaceList.get_by_instance_uuid(
        nova_context.get_admin_context(), instance.uuid)
    devices = [
        objects.NetworkInterfaceMetadata(mac=port.address, tags=[port.tag])
        for port in ports if 'tag' in port and port.tag]
    return objects.InstanceDeviceMetadata(devices=devices) if devices else None
