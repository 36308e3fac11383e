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

"""Names and labels, there and back."""

from __future__ import annotations

import hashlib

import ddt

from nova_docker import names
from nova_docker.tests import base

_UUID = '0a1b2c3d-0000-4000-8000-0123456789ab'


@ddt.ddt
class NamesTestCase(base.TestCase):
    def test_there_and_back(self) -> None:
        self.assertEqual(_UUID, names.instance_uuid(names.workload(_UUID)))

    @ddt.data(names.sandbox(_UUID), _UUID, 'nova-x', f'/nova-{_UUID}',
              f'nova-{_UUID.upper()}', f'my-nova-{_UUID}', f'nova-{_UUID}\n',
              '')
    def test_what_is_no_workload(self, name: str) -> None:
        self.assertIsNone(names.instance_uuid(name))

    def test_names_differ(self) -> None:
        self.assertEqual(4, len({
            names.workload(_UUID), names.sandbox(_UUID),
            names.image_reference(_UUID), names.snapshot_reference(_UUID)}))

    def test_the_name_of_a_verified_image(self) -> None:
        """It is a tag to the engine, and has the whole digest."""
        digest = hashlib.sha256(b'a\nb').hexdigest()
        found = names.image_reference(_UUID, ['b', 'a'])
        self.assertEqual(f'{names.image_reference(_UUID)}-{digest}', found)
        tag = found.partition(':')[2]
        self.assertRegex(tag, r'^[\w][\w.-]{0,127}$')

    def test_labels(self) -> None:
        instance = base.make_instance(
            base.make_flavor(name='m1.small'), uuid=_UUID, project_id='p',
            image_ref='i')
        found = names.labels(instance, names.Role.SANDBOX)
        self.assertEqual({
            'org.openstack.nova.uuid': _UUID,
            'org.openstack.nova.name': instance.name,
            'org.openstack.nova.role': 'sandbox',
            'org.openstack.nova.project': 'p',
            'org.openstack.nova.image': 'i',
            'org.openstack.nova.flavor': 'm1.small',
            'org.openstack.nova.version': '1'}, found)

    def test_labels_are_text_whatever_is_unset(self) -> None:
        instance = base.make_instance(project_id=None, image_ref=None)
        for value in names.labels(instance, names.Role.WORKLOAD).values():
            self.assertIs(str, type(value))

    def test_uuid_of(self) -> None:
        labels = names.labels(base.make_instance(uuid=_UUID),
                              names.Role.WORKLOAD)
        self.assertEqual(_UUID, names.uuid_of({'Labels': labels}))
        self.assertEqual(_UUID, names.uuid_of(
            {'ID': '1', 'Attributes': {**labels, 'image': 'x'}}))
        for stranger in ({}, {'Labels': None}, {'Labels': {'a': 'b'}},
                         {'Attributes': {'name': names.workload(_UUID)}}):
            self.assertIsNone(names.uuid_of(stranger))
