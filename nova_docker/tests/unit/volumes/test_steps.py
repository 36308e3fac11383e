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

"""Volumes whose storage does not answer."""

from __future__ import annotations

from unittest import mock
import uuid

import fixtures

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.privsep import blocks
from nova_docker.privsep import mounts
from nova_docker.tests import base
from nova_docker.volumes import connector
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import steps

_STATE = '/somewhere'
_SHARE = f'{_STATE}/mnt/share'


class SilenceTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(steps, '_LOST', 1))
        self.flags(state_path=_STATE)
        self.records = records.Records(
            self.useFixture(fixtures.TempDir()).path)
        self.steps = steps.Steps(
            mock.create_autospec(client.Engine, instance=True),
            mock.create_autospec(propagate.Propagation, instance=True),
            self.records)
        self.disconnect = self._mock(connector, 'disconnect')
        self.fail_share = self._mock(mounts, 'fail')
        self.fail_share.return_value = True
        self.detach = self._mock(blocks, 'detach_file')
        self.is_attached = self._mock(blocks, 'is_attached')

    def test_a_share_of_its_own(self) -> None:
        """Who waits is told again until nobody does."""
        self.is_attached.side_effect = [True, True, False]
        record = self._record(f'{_SHARE}/volume')
        self.steps.drop(record)
        self.disconnect.assert_called_once_with(
            record.connection, record.found, force=True)
        self.assertEqual([mock.call(_SHARE)] * 3,
                         self.fail_share.mock_calls)
        self.assertEqual([mock.call(f'{_SHARE}/volume')] * 3,
                         self.detach.mock_calls)

    def test_somebody_waits_all_the_same(self) -> None:
        """It goes with the last one; nothing waits for that."""
        logged = self.useFixture(fixtures.FakeLogger())
        self.is_attached.return_value = True
        record = self._record(f'{_SHARE}/volume')
        self.steps.drop(record)
        self.detach.assert_called_with(f'{_SHARE}/volume')
        self.assertIn(f'The loop device of {record.path}, for volume '
                      f'{record.volume}, stays', logged.output)

    def test_a_share_with_others(self) -> None:
        """Nothing that they write may be lost."""
        self.is_attached.return_value = True
        self._record(f'{_SHARE}/another')
        self.steps.drop(self._record(f'{_SHARE}/volume'))
        self.fail_share.assert_not_called()
        self.detach.assert_called_once_with(f'{_SHARE}/volume')

    def test_a_share_that_something_else_is_on(self) -> None:
        """Nobody has failed what waits, so nothing comes of waiting."""
        self.is_attached.return_value = True
        self.fail_share.return_value = False
        self.steps.drop(self._record(f'{_SHARE}/volume'))
        self.detach.assert_called_once_with(f'{_SHARE}/volume')

    def test_another_comes_meanwhile(self) -> None:
        """What that writes may not be lost, either."""
        self.is_attached.return_value = True
        self.fail_share.side_effect = lambda _share: self._record(
            f'{_SHARE}/another') is not None
        self.steps.drop(self._record(f'{_SHARE}/volume'))
        self.fail_share.assert_called_once_with(_SHARE)

    def test_what_is_on_no_share(self) -> None:
        """An operator may have mounted something there."""
        self.is_attached.return_value = False
        self.steps.drop(self._record('/elsewhere/volume'))
        self.fail_share.assert_not_called()

    def test_what_may_be_attached(self) -> None:
        """A file that answers, and a device, which is not even asked."""
        responds = self._mock(blocks, 'responds')
        self.steps.refuse_silent(self._record(f'{_SHARE}/volume'))
        responds.return_value = False
        self.steps.refuse_silent(self._record('/dev/sda'))
        error = self.assertRaises(
            errors.UnsuitableVolume, self.steps.refuse_silent,
            self._record(f'{_SHARE}/volume'))
        self.assertIn('its storage does not answer', str(error))

    def _mock(self, module: object, name: str) -> mock.Mock:
        made: mock.Mock = self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True)).mock
        return made

    def _record(self, path: str) -> records.Record:
        return self.records.save(records.Record(
            str(uuid.uuid4()), str(uuid.uuid4()), 'vdb', 'vdb',
            {'driver_volume_type': 'nfs', 'data': {}},
            found={'path': path}, state=records.State.DETACHING))
