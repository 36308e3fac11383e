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

"""The image cache on a real engine."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock
import uuid

from nova import context
from nova.image import glance as nova_glance
from nova import objects

from nova_docker import errors
from nova_docker.images import cache
from nova_docker.images import store
from nova_docker import names
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional.images import base
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import glance


class CacheTestCase(base.ImageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(group='image_cache', remove_unused_base_images=True,
                   remove_unused_original_minimum_age_seconds=0)
        self.patch(cache, '_SETTLING', 0)
        self.content = self.saved()
        self.source = glance.Glance(lambda: archives.pieces(self.content))
        self.source.api.get.side_effect = lambda _context, image_id: {
            'id': image_id, 'container_format': 'docker',
            'disk_format': 'raw'}
        self.cache = self.new_cache()

    def new_cache(self) -> cache.Cache:
        """Return a cache that knows nothing, as after a restart."""
        return cache.Cache(
            self.engine, store.Store(self.engine, self.source.api),
            self.source.api)

    def fetch(self) -> str:
        """Cache an image; return its id."""
        image_id = str(uuid.uuid4())
        self.addCleanup(self.engine.remove_image,
                        names.image_reference(image_id), force=True)
        self.assertTrue(self.cache.fetch(context.get_admin_context(),
                                         image_id))
        return image_id

    def present(self, image_id: str) -> bool:
        try:
            self.engine.image(names.image_reference(image_id))
        except errors.EngineNotFound:
            return False
        return True

    def test_cached_once(self) -> None:
        image_id = self.fetch()
        self.assertFalse(self.cache.fetch(context.get_admin_context(),
                                          image_id))
        self.assertEqual(1, len(self.source.downloads))

    def test_an_unused_image_goes_with_all_that_it_brought(self) -> None:
        before = self.holdings()
        image_id = self.fetch()
        self.cache.manage([])
        self.assertFalse(self.present(image_id))
        self.assert_holds(before)

    def test_other_images_are_not_looked_at(self) -> None:
        reference = self.make_image(base.MARKER)
        self.cache.manage([])
        self.assertIn('Id', self.engine.image(reference))

    def test_its_age_outlives_the_process(self) -> None:
        image_id = self.fetch()
        self.flags(group='image_cache',
                   remove_unused_original_minimum_age_seconds=3600)
        self.new_cache().manage([])
        self.assertTrue(self.present(image_id))

    def test_each_run_touches_what_is_used(self) -> None:
        image_id = self.fetch()
        first = self.tagged(image_id)
        self.new_cache().manage([
            tests_base.make_instance(image_ref=image_id)])
        self.assertGreater(self.tagged(image_id), first)

    def tagged(self, image_id: str) -> str:
        return str(self.engine.image(names.image_reference(image_id))[
            'Metadata']['LastTagTime'])

    def kept_for(self, made: Callable[[objects.Instance, str], None]) -> None:
        """Check that an image stays for an instance that Nova forgot."""
        image_id = self.fetch()
        # The same content under another id: the engine would let go of a
        # name of it at any time.
        self.addCleanup(self.engine.remove_image,
                        names.image_reference('twin'), force=True)
        self.engine.tag_image(names.image_reference(image_id),
                              names.image_reference('twin'))
        made(self.make_instance(image_ref=image_id),
             names.image_reference(image_id))
        self.cache.manage([])
        self.assertTrue(self.present(image_id))

    def test_a_stopped_workload_keeps_its_image(self) -> None:
        def make(instance: objects.Instance, reference: str) -> None:
            self.create(instance, reference)

        self.kept_for(make)

    def test_a_container_that_was_put_aside_keeps_its_image(self) -> None:
        def make(instance: objects.Instance, reference: str) -> None:
            name = f'put-aside-{instance.uuid}'
            self.addCleanup(self.engine.remove, name)
            self.engine.create(name, {
                'Image': reference, 'HostConfig': {'NetworkMode': 'none'},
                'Labels': {names.UUID: instance.uuid}})

        self.kept_for(make)

    def test_a_container_that_is_not_ours_keeps_its_image(self) -> None:
        image_id = self.fetch()
        name = f'foreign-{image_id}'
        self.addCleanup(self.engine.remove, name)
        self.engine.create(name, {
            'Image': names.image_reference(image_id),
            'HostConfig': {'NetworkMode': 'none'}})
        self.cache.manage([])
        self.assertTrue(self.present(image_id))

    def test_a_boot_in_the_middle_of_a_run_keeps_its_image(self) -> None:
        """The run has seen no use; then a boot asks for the image."""
        image_id = self.fetch()
        images = store.Store(self.engine, mock.create_autospec(
            nova_glance.API, instance=True))
        listed = self.engine.containers

        def containers(labels: list[str]) -> list[dict[str, object]]:
            found: list[dict[str, object]] = listed(labels)
            self.patch(cache, '_SETTLING', 600)
            images.ensure(context.get_admin_context(),
                          tests_base.make_instance(),
                          base.image_meta(image_id))
            return found

        with mock.patch.object(self.engine, 'containers', containers):
            cache.Cache(self.engine, images, self.source.api).manage([])
        self.assertTrue(self.present(image_id))
