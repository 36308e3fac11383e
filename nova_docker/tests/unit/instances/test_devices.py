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

from nova import objects
from nova_docker.instances import devices
from nova_docker.tests import base


class DevicesTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.instance = base.make_instance(device_metadata=None)
        self.save = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True)).mock

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

    def test_nothing_to_tell(self) -> None:
        """What was there before is gone, and Nova saves that."""
        self.instance.device_metadata = objects.InstanceDeviceMetadata(
            devices=[])
        self.assertEqual([], self.tag(
            {'address': 'fa:16:3e:00:00:02', 'tag': None}))
        self.assertIsNone(self.instance.device_metadata)
        self.save.assert_not_called()
