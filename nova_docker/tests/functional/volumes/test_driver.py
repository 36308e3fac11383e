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

from typing import Any
from unittest import mock

import ddt
import fixtures
from nova.network import model
import oslo_messaging

from nova import objects
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import killing
from nova_docker.volumes import connector


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


def listed(volume: base.Volume, device: str) -> dict[str, Any]:
    """Return an attached volume as it is in Nova's account."""
    return {'connection_info': volume.connection, 'mount_device': device}


@ddt.ddt
class RebootTestCase(killing.KilledCase):
    """Of two volumes, Nova has forgotten one: Cinder has no attachment."""

    def setUp(self) -> None:
        super().setUp()
        self.instance, self.docker = self.start(), self.restart()
        self.kept, self.forgotten = self.make_volume(), self.make_volume()
        self.attach(self.instance, self.kept, '/dev/vdb')
        self.attach(self.instance, self.forgotten, '/dev/vdc')

    def reboot(self, kind: str, devices: dict[str, Any] | None) -> str:
        """Reboot, and return the names of the volumes that are left."""
        self.docker.reboot(self.context, self.instance, model.NetworkInfo(),
                           kind, devices)
        return self.inside(self.instance, 'ls', '/volumes')

    @ddt.data('SOFT', 'HARD')
    def test_it_is_taken_away(self, kind: str) -> None:
        """Although it is used, and so that another gets its name."""
        self.inside(self.instance, 'sh', '-c',
                    'cd /volumes/vdc; sleep 1000 > /dev/null 2>&1 & :')
        self.assertEqual('vdb\n', self.reboot(kind, {
            'block_device_mapping': [listed(self.kept, '/dev/vdb')]}))
        self.assertTrue(self.kept.is_open())
        self.assertFalse(self.forgotten.is_open())
        self.docker.attach_volume(self.context, self.make_volume().connection,
                                  self.instance, '/dev/vdc')

    @ddt.data(None, {}, {'ephemerals': []})
    def test_no_account_is_no_reason(self, devices: Any) -> None:
        self.assertEqual('vdb\nvdc\n', self.reboot('HARD', devices))

    def test_no_volume_is_an_account(self) -> None:
        self.assertEqual('', self.reboot('HARD', {
            'block_device_mapping': []}))
        self.assert_nothing_left(self.instance, self.kept, self.forgotten)

    def test_it_can_not_be_disconnected(self) -> None:
        """The server runs all the same, and the next reboot tries again."""
        none: dict[str, Any] = {'block_device_mapping': []}
        logged = self.useFixture(fixtures.FakeLogger())
        with mock.patch.object(connector, 'disconnect', autospec=True,
                               side_effect=OSError('broken')):
            self.assertEqual('', self.reboot('HARD', none))
        self.assertIn(f'Volume {self.kept.id} stays', logged.output)
        self.assertTrue(self.attached.has_any(self.instance))
        self.reboot('HARD', none)
        self.assertFalse(self.attached.has_any(self.instance))
