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

"""Tests of nova_docker.images.snapshot that need no engine."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import json
import tarfile
import threading
from typing import Any
from unittest import mock

import ddt
import fixtures
from nova.compute import task_states
from nova import context
from nova import exception
from nova.image import glance
from nova import objects

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import archive
from nova_docker.images import room
from nova_docker.images import snapshot
from nova_docker.images import upload
from nova_docker import names
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives

IMAGE_ID = '11111111-2222-3333-4444-555555555555'
REFERENCE = names.snapshot_reference(IMAGE_ID)
#: What the engine says of the commit.
IMAGE = {'Architecture': 'amd64', 'Os': 'linux', 'Created': 'today',
         'Config': {'Cmd': ['/bin/sh'], 'Labels': {
             names.UUID: 'u', 'version': '1'}, 'Hostname': 'someone'}}


@ddt.ddt
class SnapshotTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatch('platform.machine',
                                           return_value='x86_64'))
        self.done: list[str] = []
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.commit.side_effect = self._note('commit')
        self.engine.remove_image.side_effect = self._note('remove')
        self.engine.remove.side_effect = self._note('remove still')
        self.engine.image.return_value = IMAGE
        self.engine.export.side_effect = self._export
        self.image_api = mock.create_autospec(glance.API, instance=True)
        self.image_api.update.side_effect = self._update
        self.image_api.get.side_effect = self._get
        self.status = 'queued'
        self.room = self.useFixture(fixtures.MockPatchObject(
            room, 'needed', autospec=True, return_value=None)).mock
        self.instance = base.make_instance()
        self.reads: list[bytes] = []
        self.snapshots = snapshot.Snapshot(self.engine, self.image_api)

    def _note(self, what: str) -> Callable[..., None]:
        def note(*args: Any, **kwargs: Any) -> None:
            self.done.append(what)
        return note

    def _export(self, name: str) -> Iterator[bytes]:
        yield from archives.pieces(archives.UPPER)

    def _update(self, context: Any, image_id: str, metadata: dict[str, Any],
                data: Any) -> dict[str, Any]:
        self.done.append('upload')
        self.metadata = metadata
        self.assertEqual('queued', self.status)
        self.status = 'saving'
        try:
            self.reads = list(iter(lambda: data.read(2 ** 20), b''))
        except BaseException:
            self.status = 'queued'
            raise
        self.status = 'active'
        return {'size': sum(len(each) for each in self.reads)}

    def _get(self, context: Any, image_id: str) -> dict[str, Any]:
        return {'status': self.status}

    def expect(self, size: int) -> None:
        """Have the workload's files measured, with this result."""
        self.room.return_value = size

    def snapshot(self) -> None:
        states = ['image_snapshot']

        def update_task_state(task_state: str, expected_state: str =
                              'image_snapshot') -> None:
            self.assertEqual(expected_state, states[-1])
            states.append(task_state)
            self.done.append(task_state)
        self.snapshots(
            context.get_admin_context(), self.instance, IMAGE_ID,
            update_task_state)

    def test_tells_nova_each_step(self) -> None:
        self.snapshot()
        self.assertEqual(['image_pending_upload', 'commit', 'image_uploading',
                          'upload', 'remove still', 'remove'], self.done)

    def test_freezes_the_workload_for_the_commit(self) -> None:
        self.snapshot()
        self.engine.commit.assert_called_once_with(
            names.workload(self.instance.uuid), REFERENCE, pause=True,
            changes=mock.ANY)

    def test_says_what_it_is(self) -> None:
        self.snapshot()
        self.assertEqual('docker', self.metadata['container_format'])
        self.assertEqual('raw', self.metadata['disk_format'])

    def test_is_an_image_of_one_layer(self) -> None:
        self.snapshot()
        with tarfile.open(fileobj=io.BytesIO(b''.join(self.reads))) as tar:
            found = {}
            for name in tar.getnames():
                data = tar.extractfile(name)
                assert data is not None
                found[name] = data.read()
        self.assertEqual(archives.digest(archives.UPPER),
                         archives.digest(found['layer.tar']))
        self.assertEqual(
            [{'Config': 'config.json', 'RepoTags': None,
              'Layers': ['layer.tar']}], json.loads(found['manifest.json']))
        config = json.loads(found['config.json'])
        self.assertEqual({'Cmd': ['/bin/sh'], 'Labels': {'version': '1'}},
                         config['config'])
        self.assertEqual([f'sha256:{archives.digest(archives.UPPER)}'],
                         config['rootfs']['diff_ids'])

    def test_what_makes_an_image_passes_as_one(self) -> None:
        self.snapshot()
        self.assertTrue(b''.join(archive.sanitised(
            self.reads, 'a:b', architectures=['amd64'],
            limit=archives.ROOM)))

    def test_a_file_system_that_changes_is_an_error(self) -> None:
        self.engine.export.side_effect = [
            archives.pieces(bytes(1024)), archives.pieces(bytes(512))]
        error = self.assertRaises(errors.EngineError, self.snapshot)
        self.assertIn('changed', error.message)

    def layer(self) -> bytes:
        """Return the layer that Glance got."""
        with tarfile.open(fileobj=io.BytesIO(b''.join(self.reads))) as tar:
            found = tar.extractfile('layer.tar')
            assert found is not None
            return found.read()

    def test_is_read_once_if_its_size_is_known(self) -> None:
        self.expect(len(archives.UPPER))
        self.snapshot()
        self.assertEqual(archives.UPPER, self.layer())
        self.engine.export.assert_called_once()

    def test_is_filled_up_if_it_is_smaller(self) -> None:
        self.expect(len(archives.UPPER) + 3 * 2 ** 20 + 512)
        self.snapshot()
        self.assertEqual(archives.UPPER + bytes(3 * 2 ** 20 + 512),
                         self.layer())
        self.engine.export.assert_called_once()
        self.assertTrue(b''.join(archive.sanitised(
            self.reads, 'a:b', architectures=['amd64'],
            limit=archives.ROOM)))

    def test_is_uploaded_again_if_it_is_larger(self) -> None:
        self.expect(len(archives.UPPER) - 1)
        self.snapshot()
        self.assertEqual(2, self.done.count('upload'))
        self.assertEqual(archives.UPPER, self.layer())

    def test_is_uploaded_again_if_it_is_far_smaller(self) -> None:
        self.expect(len(archives.UPPER) + 2 ** 30)
        self.snapshot()
        self.assertEqual(2, self.done.count('upload'))
        self.assertEqual(archives.UPPER, self.layer())

    def test_glance_has_to_see_the_end_of_an_upload(self) -> None:
        self.expect(len(archives.UPPER) - 1)
        self.useFixture(fixtures.MockPatchObject(upload, '_END', 0))
        self.image_api.get.side_effect = [{'status': 'saving'}] * 3
        error = self.assertRaises(exception.ImageUnacceptable, self.snapshot)
        self.assertIn('ended in the middle', str(error))
        self.assertEqual(['upload', 'remove still', 'remove'], self.done[-3:])

    def test_an_upload_ends_once_glance_has_begun(self) -> None:
        self.expect(len(archives.UPPER) - 1)
        self.useFixture(fixtures.MockPatchObject(upload, '_LOOK', 0))
        looks = []

        def get(*args: Any) -> dict[str, Any]:
            looks.append(self.status)
            # It is at work on the upload, and has not said so.
            return {'status': self.status if len(looks) > 3 else 'queued'}

        self.image_api.get.side_effect = get
        self.snapshot()
        self.assertEqual(['saving'] * 4 + ['queued'], looks)

    def test_uploads_in_small_pieces(self) -> None:
        self.snapshot()
        self.assertLessEqual(max(map(len, self.reads)), 64 * 1024)

    def test_glance_has_to_have_it_all(self) -> None:
        def update(*args: Any, **kwargs: Any) -> dict[str, Any]:
            # Nova tries again after a broken connection, with what is left.
            kwargs['data'].read(1000)
            return self._update(*args, **kwargs)

        self.image_api.update.side_effect = update
        error = self.assertRaises(exception.ImageUnacceptable, self.snapshot)
        self.assertIn('bytes', str(error))
        self.assertEqual('remove', self.done[-1])

    def test_the_engine_keeps_nothing_of_a_failure(self) -> None:
        lost = exception.ImageNotFound(image_id=IMAGE_ID)
        self.image_api.update.side_effect = lost
        self.assertRaises(exception.ImageNotFound, self.snapshot)
        self.assertEqual('remove', self.done[-1])

    def test_an_instance_that_goes_away_ends_it(self) -> None:
        deleting = exception.UnexpectedDeletingTaskStateError(
            instance_uuid=self.instance.uuid, expected={}, actual={})
        self.engine.commit.side_effect = deleting
        self.assertRaises(exception.UnexpectedDeletingTaskStateError,
                          self.snapshot)
        self.image_api.update.assert_not_called()
        self.assertEqual('remove', self.done[-1])

    def test_the_first_failure_is_the_one_told(self) -> None:
        self.engine.commit.side_effect = errors.EngineConflict('first')
        self.engine.remove_image.side_effect = errors.EngineUnavailable('')
        error = self.assertRaises(errors.EngineConflict, self.snapshot)
        self.assertEqual('first', error.message)

    def lose(self, *calls: str) -> None:
        """Have the engine miss what these calls are about."""
        for call in calls:
            getattr(self.engine, call).side_effect = errors.EngineNotFound(
                f'no {call}')

    def refreshed(self, effect: Any = None) -> None:
        """Have the database know the server as it is here, or otherwise."""
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'refresh', autospec=True, side_effect=effect))

    def test_without_a_container_its_user_hears_of_it(self) -> None:
        """Nova says nothing of what is not found, and the task would stay."""
        self.refreshed()
        self.lose('commit', 'container')
        error = self.assertRaises(errors.NoContainer, self.snapshot)
        self.assertIn('Rebuild the server', error.format_message())

    @ddt.data('create', 'image', 'export')
    def test_what_is_removed_meanwhile_is_a_failure(self, call: str) -> None:
        self.refreshed()
        self.lose(call)
        error = self.assertRaises(errors.EngineError, self.snapshot)
        self.assertNotIsInstance(error, errors.EngineNotFound)
        self.assertEqual(f'no {call}', error.message)

    def test_of_one_that_is_gone(self) -> None:
        """That is how Nova knows a server that was deleted meanwhile."""
        self.refreshed(exception.InstanceNotFound(instance_id='gone'))
        self.lose('commit', 'container')
        self.assertRaises(exception.InstanceNotRunning, self.snapshot)

    def test_of_one_that_is_being_deleted(self) -> None:
        def refresh(instance: objects.Instance) -> None:
            instance.task_state = task_states.DELETING
        self.refreshed(refresh)
        self.lose('export')
        self.assertRaises(exception.InstanceNotRunning, self.snapshot)

    def has(self, *image_ids: str) -> None:
        """Have the engine hold what is made for snapshots of these ids."""
        self.engine.containers.return_value = [
            {'Id': f'still-{each}', 'Names': [f'/nova-snapshot-{each}']}
            for each in image_ids]
        self.engine.images.return_value = [
            {'RepoTags': [names.snapshot_reference(each)]}
            for each in image_ids]

    def test_leftovers_of_a_killed_process_go(self) -> None:
        self.has(IMAGE_ID)
        self.snapshots.discard_leftovers()
        self.engine.remove.assert_called_once_with(f'still-{IMAGE_ID}')
        self.engine.remove_image.assert_called_once_with(REFERENCE)

    def test_what_is_in_work_is_none(self) -> None:
        self.has(IMAGE_ID, 'other')

        def update(*args: Any, **kwargs: Any) -> dict[str, Any]:
            self.snapshots.discard_leftovers()
            self.assertEqual([mock.call('still-other')],
                             self.engine.remove.call_args_list)
            self.assertEqual([mock.call(names.snapshot_reference('other'))],
                             self.engine.remove_image.call_args_list)
            return self._update(*args, **kwargs)

        self.image_api.update.side_effect = update
        self.snapshot()

    def test_what_begins_while_they_are_looked_for_is_none(self) -> None:
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def update(*args: Any, **kwargs: Any) -> dict[str, Any]:
            begun.set()
            go_on.wait(base.PATIENCE)
            return self._update(*args, **kwargs)

        def images(reference: str) -> list[dict[str, Any]]:
            uploading.start()
            self.assertTrue(begun.wait(base.PATIENCE))
            return [{'RepoTags': [REFERENCE]}]

        uploading = threading.Thread(target=self.snapshot, daemon=True)
        self.engine.containers.return_value = []
        self.engine.images.side_effect = images
        self.image_api.update.side_effect = update
        self.snapshots.discard_leftovers()
        self.engine.remove_image.assert_not_called()
        go_on.set()
        uploading.join(base.PATIENCE)
        self.assertEqual('remove', self.done[-1])

    def test_they_go_when_the_engine_is_found(self) -> None:
        gone = threading.Event()
        self.has(IMAGE_ID)
        self.engine.remove_image.side_effect = lambda name: gone.set()
        self.snapshots.found()
        self.assertTrue(gone.wait(base.PATIENCE))

    def test_whoever_finds_the_engine_waits_for_nothing(self) -> None:
        """It reads the engine's events meanwhile; to look once is enough."""
        looking, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def containers(labels: Any) -> list[Any]:
            looking.set()
            go_on.wait(base.PATIENCE)
            return []

        self.engine.containers.side_effect = containers
        self.snapshots.found()
        self.assertTrue(looking.wait(base.PATIENCE))
        self.snapshots.found()
        self.engine.containers.assert_called_once()

    def test_an_engine_that_fails_then_is_asked_again(self) -> None:
        asked = self.engine.containers
        asked.side_effect = errors.EngineUnavailable('away')

        def is_asked_again() -> bool:
            self.snapshots.found()
            return bool(asked.call_count > 1)

        base.wait_until(is_asked_again, 'the engine is asked again')
        self.snapshots.lost('away')

    def test_the_stream_is_closed(self) -> None:
        closed: list[bool] = []

        def export(name: str) -> Iterator[bytes]:
            with contextlib.ExitStack() as stack:
                stack.callback(closed.append, True)
                yield from self._export(name)

        def update(*args: Any, data: Any, **kwargs: Any) -> None:
            for _ in range(3):
                data.read(2 ** 20)
            raise exception.ImageNotFound(image_id=IMAGE_ID)

        self.engine.export.side_effect = export
        self.image_api.update.side_effect = update
        self.assertRaises(exception.ImageNotFound, self.snapshot)
        self.assertEqual([True, True], closed)
