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

"""Which devices the metadata tells of."""

from __future__ import annotations

from typing import Any

import fixtures

from nova import exception
from nova import objects
from nova_docker.instances import devices
from nova_docker.tests import base


class DevicesTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.instance = base.make_instance(device_metadata=None)
        self.save = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True)).mock
        self.mappings = self.useFixture(fixtures.MockPatchObject(
            objects.BlockDeviceMappingList, 'get_by_instance_uuid',
            autospec=True)).mock
        self.use_volumes()

    def use_volumes(self, **tags: str | None) -> None:
        """Let the instance have volumes, and their tags."""
        self.mappings.return_value = objects.BlockDeviceMappingList(
            objects=[objects.BlockDeviceMapping(volume_id=volume, tag=tag)
                     for volume, tag in tags.items()])

    def tag(self, *ports: dict[str, Any]) -> list[tuple[str, list[str]]]:
        """Return MAC and tags of each device that is told of."""
        self.useFixture(fixtures.MockPatchObject(
            objects.VirtualInterfaceList, 'get_by_instance_uuid',
            autospec=True, return_value=objects.VirtualInterfaceList(
                objects=[objects.VirtualInterface(**p) for p in ports])))
        devices.tag(self.instance)
        found = self.instance.device_metadata
        return [(device.mac, device.tags)
                for device in (found.devices if found else [])]

    def test_tagged_ports(self) -> None:
        self.assertEqual(
            [('fa:16:3e:00:00:01', ['web']), ('fa:16:3e:00:00:03', ['db'])],
            self.tag({'address': 'fa:16:3e:00:00:01', 'tag': 'web'},
                     {'address': 'fa:16:3e:00:00:02', 'tag': None},
                     {'address': 'fa:16:3e:00:00:03', 'tag': 'db'},
                     {'address': 'fa:16:3e:00:00:04'}))
        self.save.assert_called_once_with(self.instance)

    def test_shares(self) -> None:
        """They come with a start, and stay when a port is attached."""
        uuid = self.instance.uuid
        devices.share(self.instance, [objects.ShareMapping(
            share_id=uuid, tag='data', instance_uuid=uuid)])
        self.useFixture(fixtures.MockPatchObject(
            objects.VirtualInterfaceList, 'get_by_instance_uuid',
            autospec=True, return_value=objects.VirtualInterfaceList(
                objects=[objects.VirtualInterface(
                    address='fa:16:3e:00:00:01', tag='web')])))
        devices.tag(self.instance)
        [port, share] = self.instance.device_metadata.devices
        self.assertEqual((['web'], uuid, 'data'),
                         (port.tags, share.share_id, share.tag))
        devices.share(self.instance, [])
        self.assertEqual([port], self.instance.device_metadata.devices)

    def test_tagged_volumes(self) -> None:
        """They are told of beside ports, and go when they are detached."""
        self.use_volumes(one='data', two=None, three='no/name')
        self.useFixture(fixtures.MockPatchObject(
            objects.VirtualInterfaceList, 'get_by_instance_uuid',
            autospec=True, return_value=objects.VirtualInterfaceList()))
        devices.tag(self.instance)
        [named, other] = self.instance.device_metadata.devices
        self.assertEqual(('one', '/volumes/data', ['data']),
                         (named.serial, named.path, named.tags))
        self.assertEqual(('three', ['no/name']), (other.serial, other.tags))
        self.assertNotIn('path', other)
        self.use_volumes()
        devices.tag(self.instance)
        self.assertIsNone(self.instance.device_metadata)

    def test_the_next_name(self) -> None:
        def name(wanted: str | None, *used: str | None) -> str:
            return devices.next_name(objects.BlockDeviceMappingList(objects=[
                objects.BlockDeviceMapping(device_name=each)
                for each in used]), wanted)
        self.assertEqual('/dev/vdb', name(None))
        self.assertEqual('/dev/vdc', name(None, '/dev/vda', '/dev/vdb', None))
        self.assertEqual('/dev/vdh', name('/dev/sdh', '/dev/vda'))
        self.assertRaises(exception.DevicePathInUse, name, '/dev/vdb',
                          '/dev/vdb')

    def test_nothing_to_tell(self) -> None:
        """What was there before is gone, and Nova saves that."""
        self.instance.device_metadata = objects.InstanceDeviceMetadata(
            devices=[])
        self.assertEqual([], self.tag(
            {'address': 'fa:16:3e:00:00:02', 'tag': None}))
        self.assertIsNone(self.instance.device_metadata)
        self.save.assert_not_called()
