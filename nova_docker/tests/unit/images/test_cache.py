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

"""What the image cache keeps, and what it removes."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

from nova.image import glance
from oslo_utils import fixture as time_fixture
from oslo_utils import timeutils

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import cache
from nova_docker.images import store
from nova_docker import names
from nova_docker.tests import base

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


class CacheTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(group='image_cache', remove_unused_base_images=True,
                   remove_unused_original_minimum_age_seconds=3600)
        self.useFixture(time_fixture.TimeFixture(NOW))
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.containers.return_value = []
        self.engine.images.return_value = []
        self.engine.tag_image.side_effect = self._tag
        self.engine.image.side_effect = self._inspect
        self.engine.remove_image.side_effect = self._remove
        self.tagged: dict[str, datetime.datetime] = {}
        api = mock.create_autospec(glance.API, instance=True)
        self.cache = cache.Cache(self.engine, store.Store(self.engine, api),
                                 api)

    def _tag(self, image: str, reference: str) -> None:
        self.assertEqual(image, reference)
        self.tagged[reference] = timeutils.utcnow(with_timezone=True)

    def _inspect(self, reference: str) -> dict[str, Any]:
        return {'Metadata': {
            'LastTagTime': self.tagged[reference].isoformat()}}

    def _remove(self, reference: str) -> None:
        del self.tagged[reference]

    def have(self, image_id: str, age: datetime.timedelta,
             identity: str = '') -> None:
        """Have an image that was tagged some time ago."""
        reference = names.image_reference(image_id)
        self.tagged[reference] = NOW - age
        self.engine.images.return_value.append({
            'Id': identity or f'sha256:{image_id}', 'Size': 2 ** 21,
            'RepoTags': [reference, 'somebody/elses:1']})

    def run_on(self, image_id: str, **more: Any) -> None:
        """Have a container of ours on an image."""
        self.engine.containers.return_value.append({
            'Image': names.image_reference(image_id),
            'ImageID': f'sha256:{image_id}',
            'Labels': {names.UUID: 'u', names.IMAGE: image_id}, **more})

    def left(self) -> list[str]:
        return sorted(reference.partition(':')[2]
                      for reference in self.tagged)

    def test_only_what_is_old_enough_goes(self) -> None:
        self.have('young', HOUR / 2)
        self.have('old', HOUR * 2)
        self.cache.manage([])
        self.assertEqual(['young'], self.left())

    def test_nothing_goes_if_nova_says_so(self) -> None:
        self.flags(group='image_cache', remove_unused_base_images=False)
        self.have('old', HOUR * 2)
        self.cache.manage([])
        self.assertEqual(['old'], self.left())

    def test_what_a_boot_has_just_asked_for_stays_at_any_age(self) -> None:
        self.flags(group='image_cache',
                   remove_unused_original_minimum_age_seconds=0)
        self.have('now', datetime.timedelta(seconds=30))
        self.have('old', HOUR)
        self.cache.manage([])
        self.assertEqual(['now'], self.left())

    def test_what_is_used_is_touched(self) -> None:
        for name in ('instance', 'container', 'label', 'identity', 'none'):
            self.have(name, HOUR * 2)
        self.run_on('container')
        self.run_on('other', Labels={names.IMAGE: 'label'})
        self.run_on('moved', ImageID='sha256:identity')
        self.cache.manage([base.make_instance(image_ref='instance'),
                           base.make_instance(image_ref='')])
        self.assertEqual(['container', 'identity', 'instance', 'label'],
                         self.left())
        self.assertEqual({NOW}, set(self.tagged.values()))

    def test_age_is_counted_from_the_last_use(self) -> None:
        """By whatever process: the engine alone remembers it."""
        self.have('image', HOUR * 2)
        instance = base.make_instance(image_ref='image')
        self.cache.manage([instance])
        timeutils.advance_time_delta(HOUR / 2)
        self.cache.manage([])
        self.assertEqual(['image'], self.left())
        timeutils.advance_time_delta(HOUR)
        self.cache.manage([])
        self.assertEqual([], self.left())

    def test_the_engine_may_know_better(self) -> None:
        self.have('image', HOUR * 2)
        self.engine.remove_image.side_effect = errors.EngineConflict('used')
        self.cache.manage([])
        self.assertEqual(['image'], self.left())

    def test_figures(self) -> None:
        self.have('young', HOUR / 2)
        self.have('old', HOUR * 2)
        self.have('older', HOUR * 3)
        with self.assertLogs(cache.LOG.logger, 'INFO') as log:
            self.cache.manage([])
        self.assertIn('1 images kept, 2 removed, which frees up to 4 MiB '
                      '(4194304 bytes)', log.output[-1])
