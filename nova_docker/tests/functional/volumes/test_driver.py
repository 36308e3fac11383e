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

"""Volumes by way of the whole driver, as Nova has it."""

from __future__ import annotations

from unittest import mock

import fixtures
import oslo_messaging

from nova import objects
from nova_docker.tests.functional.volumes import killing


class AttachTestCase(killing.KilledCase):
    """Nova can not be told what is attached."""

    def setUp(self) -> None:
        super().setUp()
        self.instance, self.volume = self.start(), self.make_volume()

    def attach_in_vain(self) -> None:
        """Attach while nova-conductor is away."""
        docker = self.restart()
        with mock.patch.object(
                objects.VirtualInterfaceList.get_by_instance_uuid,
                'side_effect', oslo_messaging.MessagingTimeout):
            self.assertRaises(
                oslo_messaging.MessagingTimeout, docker.attach_volume,
                self.context, self.volume.connection, self.instance,
                '/dev/vdb')

    def test_nothing_is_left(self) -> None:
        self.attach_in_vain()
        self.assert_nothing_left(self.instance, self.volume)
        self.assertEqual('', self.inside(self.instance, 'ls', '/volumes'))

    def test_somebody_uses_it_already(self) -> None:
        """That is in the log, and the error is still the first one."""
        self.flags(volume_detach_timeout=0, group='docker')
        logged = self.useFixture(fixtures.FakeLogger())
        self.attach(self.instance, self.volume)
        self.inside(self.instance, 'sh', '-c',
                    'cd /volumes/vdb; sleep 1000 > /dev/null 2>&1 & :')
        self.attach_in_vain()
        self.assertIn(f'Volume {self.volume.id} stays attached',
                      logged.output)
