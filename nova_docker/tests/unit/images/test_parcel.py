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


"""Tests of nova_docker.images.parcel."""

from typing import Any
from unittest import mock

import fixtures
from glance.common import utils as glance_utils
from nova import context
from nova import exception
from nova.image import glance

from nova_docker.images import parcel
from nova_docker.tests import base

PROJECT = 'p'


class PostTest(base.TestCase):
    """What an earlier try has left when its nova-compute was killed."""

    def setUp(self) -> None:
        super().setUp()
        self.glance: mock.Mock = mock.create_autospec(
            glance.API, instance=True)
        self.glance.create.return_value = {'id': 'new'}
        self.glance.get_all.return_value = []
        self.context = context.RequestContext('u', PROJECT, is_admin=False)
        self.instance = base.make_instance()
        self.name = f'nova-docker migration of {self.instance.uuid}: disk'

    def left(self, **other: Any) -> dict[str, Any]:
        """Return what Nova's API says of such an image."""
        return {'id': 'left', 'name': self.name, 'owner': PROJECT,
                'is_public': False, **other}

    def send(self) -> None:
        sent = parcel.Post(self.glance).send(
            self.context, self.instance, 'disk', lambda image: f'of {image}')
        self.assertEqual(parcel.Parcel('new', 'of new'), sent)

    def test_it_goes(self) -> None:
        self.glance.get_all.return_value = [self.left()]
        self.send()
        asked = self.glance.get_all.call_args.kwargs['filters']
        # Else it would be what stands before the colon.
        self.assertEqual(('in', f'"{self.name}"'),
                         glance_utils.split_filter_op(asked.pop('name')))
        self.assertEqual({'owner': PROJECT, 'visibility': 'private'}, asked)
        self.glance.delete.assert_called_once_with(self.context, 'left')
        self.assertEqual(self.name, self.glance.create.call_args.args[1][
            'name'])

    def test_what_is_not_its_own_stays(self) -> None:
        """Anybody can name an image, but owns only what is one's own."""
        self.glance.get_all.return_value = [
            self.left(owner='another'), self.left(owner=None),
            self.left(is_public=True), self.left(name=self.name.upper())]
        self.send()
        self.glance.delete.assert_not_called()

    def test_nobody_owns_nothing(self) -> None:
        self.context.project_id = None
        self.glance.get_all.return_value = [self.left(owner=None)]
        self.send()
        self.glance.delete.assert_not_called()

    def test_a_glance_that_does_not_tell_holds_up_nothing(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        self.glance.get_all.side_effect = exception.GlanceConnectionFailed(
            server='glance', reason='gone')
        self.send()
        self.assertIn(self.name, log.output)

    def test_an_image_that_can_not_be_deleted_holds_up_nothing(self) -> None:
        """It may be protected."""
        self.glance.get_all.return_value = [self.left()]
        self.glance.delete.side_effect = exception.Forbidden()
        self.send()
