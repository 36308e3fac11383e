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

"""What is said of a volume that can not become a root disk."""

from __future__ import annotations

import errno
from unittest import mock
import uuid

import fixtures
from nova.image import glance
from nova import objects

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker.privsep import rootfiles
from nova_docker.rootvolume import content
from nova_docker.rootvolume import gate
from nova_docker.tests import base
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import whole


class ExplainedTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.instance = base.make_instance()
        attached = mock.create_autospec(whole.Volumes, instance=True)
        attached.root.return_value = self.record = records.Record(
            self.instance.uuid, str(uuid.uuid4()), 'vda', 'vda', {},
            root=True, image={'image_id': str(uuid.uuid4())})
        engine, images, image_api, gates = (
            mock.create_autospec(each, instance=True)
            for each in (client.Engine, store.Store, glance.API, gate.Gate))
        self.roots = content.Roots(
            engine, images, image_api, attached,
            propagate.Propagation('/mounts'), gates)
        self._mock(objects.ImageMeta, 'from_image_ref')
        self.state = self._mock(rootfiles, 'state')

    def _mock(self, place: object, name: str) -> mock.Mock:
        made: mock.Mock = self.useFixture(fixtures.MockPatchObject(
            place, name, autospec=True)).mock
        return made

    def assert_refused(self, reason: str) -> None:
        error = self.assertRaises(
            errors.UnsuitableVolume, self.roots.prepare, None, self.instance,
            mock.sentinel.image)
        self.assertIn(self.record.volume, str(error))
        self.assertIn(f'as a root disk it can not be {reason}.', str(error))

    def test_it_can_not_be_read(self) -> None:
        for code, words in ((errno.EIO, 'Input/output error'),
                            (errno.EUCLEAN, 'Structure needs cleaning')):
            self.state.side_effect = OSError(code, words)
            self.assert_refused(f'read: {words}')

    def test_an_error_that_has_no_number(self) -> None:
        self.state.return_value = rootfiles.State.BLANK
        self._mock(rootfiles, 'begin').side_effect = OSError('out of order')
        self.assert_refused('written to: out of order')
