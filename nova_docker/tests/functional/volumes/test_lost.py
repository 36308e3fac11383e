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

"""Encrypted volumes whose storage does not answer."""

from __future__ import annotations

import os
from typing import Any

import fixtures
from nova.network import model
from oslo_concurrency import processutils

from nova import exception
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import holders
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.functional.volumes import encryptor
from nova_docker.volumes import records
from nova_docker.volumes import steps


class LostTestCase(base.VolumesTestCase):
    """A process of a server has a file open on one.

    As long as it does, the decrypted device can not be removed: so it is
    with device mapper's.
    """

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(encryptor.dm_crypt())
        self.useFixture(fixtures.MockPatchObject(steps, '_LOST', 1))
        self.instance, self.volume = self.start(), self.make_volume()
        self.volume.encrypt()
        self.attach(self.instance, self.volume)
        [self.record] = self.records.of_instance(self.instance.uuid)
        #: It leads to the decrypted device.
        self.link = self.records.link(self.record)
        self.inside(self.instance, 'sh', '-c',
                    'sleep 1000 3> /volumes/vdb/file > /dev/null 2>&1 &')
        tests.wait_until(
            lambda: holders.holders(str(self.host_path(self.instance))),
            'it has the file open')
        real = encryptor.LuksEncryptor.detach_volume

        def remove(this: encryptor.LuksEncryptor, **encryption: Any) -> None:
            if not blocks.is_free(os.path.realpath(self.link)):
                raise processutils.ProcessExecutionError('it is in use')
            real(this, **encryption)

        self.useFixture(fixtures.MockPatchObject(
            encryptor.LuksEncryptor, 'detach_volume', remove))
        self.useFixture(fixtures.MockPatchObject(
            blocks, 'responds', autospec=True, return_value=False))

    def test_it_is_known_until_it_is_gone(self) -> None:
        error = self.assertRaises(exception.DeviceDetachFailed,
                                  self.attachments.discard, self.record)
        self.assertIn('its storage does not answer', str(error))
        [record] = self.records.of_instance(self.instance.uuid)
        self.assertEqual(records.State.DETACHING, record.state)
        self.assertTrue(os.path.lexists(self.link))
        self.engine.stop(names.workload(self.instance.uuid), 0)
        self.attachments.discard(record)
        self.assertFalse(os.path.lexists(self.link))
        self.assert_nothing_left(self.instance, self.volume)

    def test_the_server_is_deleted(self) -> None:
        """Its processes end on the way."""
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertFalse(os.path.lexists(self.link))
        self.assert_nothing_left(self.instance, self.volume)
