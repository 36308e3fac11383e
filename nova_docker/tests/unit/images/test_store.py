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

"""Tests of nova_docker.images.store that need no engine."""

from collections.abc import Iterable
from collections.abc import Sequence
import datetime
from typing import Any
from unittest import mock

from cryptography import exceptions as cryptography_exceptions
import ddt
import fixtures
from nova import context
from nova import exception
from nova import objects

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker import names
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import glance

IMAGE_ID = '11111111-2222-3333-4444-555555555555'
REFERENCE = names.image_reference(IMAGE_ID)


@ddt.ddt
class StoreTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatch('platform.machine',
                                           return_value='x86_64'))
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.image.side_effect = self._image
        self.engine.tag_image.side_effect = self._tag
        self.engine.info.return_value = {'DriverStatus': [
            ['Backing Filesystem', 'extfs']]}
        self.engine.all_images.return_value = []
        self.last_tag_time = '2026-11-21T12:00:00.123456789Z'
        self.present: dict[str, Sequence[str]] = {}
        self.engine.load_image.side_effect = self._load
        self.engine.import_image.side_effect = self._import
        self.loaded: list[bytes] = []
        self.content = archives.tar(archives.saved().items())
        self.glance = glance.Glance(lambda: archives.pieces(self.content))
        self.store = store.Store(self.engine, self.glance.api)

    def _image(self, reference: str) -> dict[str, Any]:
        if reference not in self.present:
            raise errors.EngineNotFound('no such image')
        return {'RootFS': {'Layers': self.present[reference]},
                'Metadata': {'LastTagTime': self.last_tag_time}}

    def _tag(self, image: str, reference: str) -> None:
        self.assertEqual(image, reference)
        self._image(image)

    def _load(self, chunks: Iterable[bytes]) -> None:
        self.loaded.append(b''.join(chunks))

    def _import(self, chunks: Iterable[bytes], reference: str,
                changes: Sequence[str]) -> None:
        self.assertEqual(REFERENCE, reference)
        self.assertEqual(['CMD ["/bin/sh"]'], list(changes))
        self._load(chunks)

    def ensure(self, trusted_certs: objects.TrustedCerts | None = None,
               **image: str | None) -> str:
        fields = {'id': IMAGE_ID, 'container_format': 'docker',
                  'disk_format': 'raw', **image}
        return self.store.ensure(
            context.get_admin_context(),
            base.make_instance(trusted_certs=trusted_certs),
            objects.ImageMeta(**{name: value for name, value in fields.items()
                                 if value is not None}))

    def refused(self, **image: str | None) -> str:
        error = self.assertRaises(exception.ImageUnacceptable, self.ensure,
                                  **image)
        self.assertIn(IMAGE_ID, str(error))
        return str(error)

    def test_a_present_image_is_not_fetched(self) -> None:
        self.present[REFERENCE] = []
        self.assertEqual(REFERENCE, self.ensure())
        self.assertEqual([], self.glance.downloads)

    def test_the_tag_stands_for_the_glance_id(self) -> None:
        self.assertEqual(REFERENCE, self.ensure())
        self.assertIn(REFERENCE.encode(), self.loaded[0])

    def test_the_instances_certificates_verify(self) -> None:
        certificates = objects.TrustedCerts(ids=['c'])
        self.ensure(certificates)
        self.assertEqual([certificates], self.glance.downloads)

    def test_a_copy_that_nobody_verified_is_not_trusted(self) -> None:
        """Nor is one that other certificates vouch for."""
        self.present[REFERENCE] = []
        found = [self.ensure(objects.TrustedCerts(ids=ids))
                 for ids in (['a', 'b'], ['b', 'a'], ['a'])]
        self.assertEqual(3, len(self.glance.downloads))
        self.assertEqual(found[0], found[1])
        self.assertEqual(3, len({REFERENCE, *found}))
        self.assertTrue(all(map(names.is_image, found)))

    def test_a_copy_from_before_signatures_were_required(self) -> None:
        self.present[REFERENCE] = []
        self.flags(verify_glance_signatures=True, group='glance')
        self.assertNotEqual(REFERENCE, self.ensure())
        self.assertEqual([None], self.glance.downloads)

    def test_a_verified_copy_serves_again(self) -> None:
        certificates = objects.TrustedCerts(ids=['c'])
        self.present[names.image_reference(IMAGE_ID, ['c'])] = []
        self.ensure(certificates)
        self.assertEqual([], self.glance.downloads)

    def test_a_layer_on_its_way_is_not_believed(self) -> None:
        """The engine has it already, and does not tell of it yet."""
        bait = [archives.tar([(name, b'')]) for name in ('one', 'two')]
        stolen = archives.tar(archives.saved(
            {'config.json': archives.config()}, bait).items())

        def load(chunks: Iterable[bytes]) -> None:
            self.loaded.append(b''.join(chunks))
            self.content = stolen
            self.engine.load_image.side_effect = self._load
            error = self.assertRaises(exception.ImageUnacceptable,
                                      self.ensure, id='another')
            self.assertIn('layer 1 does not match', str(error))

        self.engine.load_image.side_effect = load
        self.ensure()
        self.assertEqual(1, len(self.loaded))

    def test_a_wrong_signature_is_told(self) -> None:
        self.glance.api.download.side_effect = (
            cryptography_exceptions.InvalidSignature)
        error = self.assertRaises(exception.ImageUnacceptable, self.ensure,
                                  objects.TrustedCerts(ids=['c']))
        self.assertIn('its signature is not that of its content', str(error))

    def test_a_root_file_system_is_imported(self) -> None:
        self.content = archives.tar([('bin/sh', b'')])
        self.assertEqual(REFERENCE, self.ensure(container_format='bare'))
        self.engine.load_image.assert_not_called()

    @ddt.data(('container_format', 'ami'), ('container_format', 'ova'),
              ('container_format', None), ('disk_format', 'qcow2'),
              ('disk_format', None))
    @ddt.unpack
    def test_another_format_is_refused_without_a_download(
            self, field: str, value: str | None) -> None:
        reason = self.refused(**{field: value})
        self.assertIn(field.replace('_', ' '), reason)
        self.assertEqual([], self.glance.downloads)

    def test_what_is_wrong_with_the_archive_is_told(self) -> None:
        self.content = b'QFI\xfb' + bytes(100_000)
        self.assertIn('QCOW', self.refused())
        self.engine.remove_image.assert_called_once_with(REFERENCE)

    def test_what_the_engine_says_is_told(self) -> None:
        self.engine.load_image.side_effect = errors.EngineError('no space')
        self.assertIn('no space', self.refused())

    def test_an_engine_that_is_away_is_not_the_images_fault(self) -> None:
        away = errors.EngineUnavailable('refused')
        self.engine.load_image.side_effect = away
        self.engine.remove_image.side_effect = away
        self.assertRaises(errors.EngineUnavailable, self.ensure)

    def test_the_cause_is_told_and_not_its_consequence(self) -> None:
        def load(chunks: Iterable[bytes]) -> None:
            try:
                self._load(chunks)
            except Exception as error:
                raise errors.EngineUnavailable('broken pipe') from error

        self.engine.load_image.side_effect = load
        self.content = self.content[:3000]
        self.assertIn('truncated', self.refused())

    def test_a_failure_is_not_remembered(self) -> None:
        good, self.content = self.content, b'not this'
        self.refused()
        self.content = good
        self.assertEqual(REFERENCE, self.ensure())

    def test_the_size_is_limited(self) -> None:
        self.flags(image_max_size=1, group='docker')
        self.content = archives.tar([('large', b'')])
        with mock.patch.object(store, '_GIB', 1024):
            self.assertIn('unpacks to more', self.refused())

    def holds(self, *layers: bytes) -> None:
        """Have an image of these layers in the engine."""
        self.present['other'] = [f'sha256:{archives.digest(layer)}'
                                 for layer in layers]
        self.engine.all_images.return_value = [{'Id': 'other'}]

    def test_a_layer_that_the_engine_has_must_be_brought_too(self) -> None:
        self.holds(archives.LOWER)
        self.assertEqual(REFERENCE, self.ensure())
        self.assertEqual(2, len(self.glance.downloads))

    def test_a_layer_that_is_only_named_is_refused(self) -> None:
        self.holds(archives.UPPER)
        self.content = archives.tar(archives.saved(
            {'config.json': archives.config([archives.UPPER])},
            [archives.LOWER]).items())
        self.assertIn('layer 1', self.refused())

    def test_an_engine_that_checks_nothing_gets_nothing_unchecked(
            self) -> None:
        self.engine.info.return_value = {'DriverStatus': [
            ['driver-type', 'io.containerd.snapshotter.v1']]}
        self.content = archives.tar(archives.saved(
            {'config.json': archives.config([archives.UPPER])},
            [archives.LOWER]).items())
        self.assertIn('layer 1', self.refused())
        self.assertEqual(1, len(self.glance.downloads))

    def test_cached_ahead_of_the_first_server(self) -> None:
        image = objects.ImageMeta(id=IMAGE_ID, container_format='docker',
                                  disk_format='raw')
        self.assertTrue(self.store.cache(context.get_admin_context(), image))
        self.assertIn(REFERENCE.encode(), self.loaded[0])
        self.present[REFERENCE] = []
        self.assertFalse(self.store.cache(context.get_admin_context(), image))
        self.assertEqual(1, len(self.glance.downloads))

    @ddt.data((11, False), (12, False), (13, True))
    @ddt.unpack
    def test_only_what_was_not_wanted_since_is_removed(
            self, hour: int, removed: bool) -> None:
        self.present[REFERENCE] = []
        since = datetime.datetime(2026, 11, 21, hour, tzinfo=datetime.UTC)
        self.assertIs(removed, self.store.remove_idle(REFERENCE, since))
        self.assertIs(removed, self.engine.remove_image.called)

    def test_what_is_not_touched_yet_is_not_removed(self) -> None:
        self.present[REFERENCE] = []
        self.last_tag_time = '0001-01-01T00:00:00Z'
        self.assertFalse(self.store.remove_idle(
            REFERENCE, datetime.datetime.now(datetime.UTC)))
        self.engine.tag_image.assert_called_once_with(REFERENCE, REFERENCE)
        self.engine.remove_image.assert_not_called()

    def test_what_is_gone_is_not_removed(self) -> None:
        self.assertFalse(self.store.remove_idle(
            REFERENCE, datetime.datetime.now(datetime.UTC)))
