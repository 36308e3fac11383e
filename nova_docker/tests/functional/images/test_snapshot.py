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

"""Snapshots of real workloads, and servers that boot from them."""

from collections.abc import Callable
import io
import json
import tarfile
import tracemalloc
from typing import Any
from unittest import mock
import uuid

import fixtures
from nova import context
from nova import exception
from nova.image import glance as nova_glance
from nova import objects

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import room
from nova_docker.images import snapshot
from nova_docker.instances import query
from nova_docker import names
from nova_docker import privsep
from nova_docker.privsep import trees
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.images import base
from nova_docker.tests.functional import privileged
from nova_docker.tests.functional import proxy


#: Of a file: it may listen on ports below 1024, whoever runs it.
_CAPABILITY = '\x01\0\0\x02\0\x04' + '\0' * 14


class SnapshotTest(base.ImageTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.uploaded = bytearray()
        self.image_api = mock.create_autospec(nova_glance.API, instance=True)
        self.image_api.update.side_effect = self._update
        self.image_api.get.side_effect = self._get
        self.status = 'queued'
        self.snapshots = snapshot.Snapshot(self.engine, self.image_api)
        # It is the engine's own, and counts.
        self.exports = self.useFixture(fixtures.MockPatchObject(
            self.engine, 'export', autospec=True,
            side_effect=self.engine.export)).mock

    def _update(self, context: context.RequestContext, image_id: str,
                metadata: dict[str, Any], data: Any) -> dict[str, Any]:
        self.status = 'saving'
        try:
            while piece := data.read(2 ** 20):
                self.uploaded += piece
        except BaseException:
            self.uploaded.clear()
            self.status = 'queued'
            raise
        return {'size': len(self.uploaded)}

    def _get(self, context: context.RequestContext,
             image_id: str) -> dict[str, Any]:
        return {'status': self.status}

    def start(self, script: str = 'exec sleep 1000') -> objects.Instance:
        """Return a server that has written to its root disk."""
        server = self.run_workload(
            self.make_image(base.MARKER), '/bin/sh', '-c',
            f'echo written > /root/data; sync; echo ready; {script}')
        self.wait_for_log(server, 'ready')
        return server

    def snapshot(self, server: objects.Instance) -> bytes:
        """Return what Glance gets; the engine has it no more."""
        before = self.holdings()
        self.upload(server)
        self.assert_holds(before)
        return bytes(self.uploaded)

    def upload(self, server: objects.Instance) -> None:
        self.snapshots(
            context.get_admin_context(), server, str(uuid.uuid4()),
            mock.create_autospec(_update_task_state))

    def assert_boots(self, content: bytes) -> None:
        self.assertEqual('this is the image\nwritten', self.output(
            self.ensure(content), 'cat /etc/marker /root/data'))

    def test_of_a_running_server(self) -> None:
        server = self.start()
        pid = self.state(server)['Pid']
        self.assert_boots(self.snapshot(server))
        self.exports.assert_called_once()
        self.assertEqual('running', self.state(server)['Status'])
        self.assertEqual(pid, self.state(server)['Pid'])

    def test_of_a_stopped_server(self) -> None:
        server = self.start('exit 0')
        self.wait_for_end(server)
        self.assert_boots(self.snapshot(server))
        self.assertEqual('exited', self.state(server)['Status'])
        # Nothing shows its files but the engine.
        self.assertEqual(2, self.exports.call_count)

    def test_of_a_paused_server(self) -> None:
        server = self.start()
        self.engine.pause(names.workload(server.uuid))
        self.assert_boots(self.snapshot(server))
        self.assertEqual('paused', self.state(server)['Status'])

    def start_odd(self) -> objects.Instance:
        """Return a server that has every kind of file."""
        deep = '/'.join(['directory'] * 20)
        server = self.run_workload(
            self.make_image(
                base.MARKER,
                functional.directory(deep),
                functional.Entry(f'{deep}/{"n" * 200}', bytes(700)),
                functional.Entry('\u00fc' * 60, 'not ASCII'),
                functional.Entry('able', b'x', mode=0o755, pax_headers={
                    'SCHILY.xattr.security.capability': _CAPABILITY}),
                functional.directory('closed', mode=0o700, uid=1000),
                functional.Entry('closed/secret', bytes(5000), mode=0,
                                 uid=1000),
                functional.symlink('long', 'l' * 300)),
            '/bin/sh', '-c',
            'busybox ln /etc/marker /hard; busybox ln /hard /harder; '
            'dd if=/dev/null of=/sparse bs=1M seek=20 2>/dev/null; '
            'busybox mkfifo /pipe; echo written > /root/data; '
            'echo ready; exec sleep 1000')
        self.wait_for_log(server, 'ready')
        return server

    def layer(self, content: bytes) -> bytes:
        """Return the file system in an archive."""
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found = tar.extractfile('layer.tar')
            assert found is not None
            return found.read()

    def members(self, content: bytes) -> dict[str, tarfile.TarInfo]:
        """Return what is in the file system in an archive, by its path."""
        with tarfile.open(fileobj=io.BytesIO(self.layer(content))) as tree:
            return {each.name.removeprefix('./'): each for each in tree}

    def test_the_size_is_known_before(self) -> None:
        server = self.start_odd()
        found = trees.archived(self.state(server)['Pid'])
        assert found is not None
        self.engine.stop(names.workload(server.uuid), 0)
        self.wait_for_end(server)
        # Of one that does not run it is not expected but counted.
        size = len(self.layer(self.snapshot(server)))
        # What it does not look at is the one attribute.
        self.assertGreaterEqual(found, size - 1024)
        self.assertLess(found, size + 16 * 1024)

    def test_the_daemon_may_do_it(self) -> None:
        pid = self.state(self.start_odd())['Pid']
        here = trees.archived(pid)
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', True))
        privileged.use(type(self), privsep.mount_pctxt,
                       'docker_mount_privileged')
        self.assertEqual(here, trees.archived(pid))

    def test_of_every_kind_of_file(self) -> None:
        content = self.snapshot(self.start_odd())
        self.exports.assert_called_once()
        members = self.members(content)
        self.assertEqual(20 * 2 ** 20, members['sparse'].size)
        self.assertIn('SCHILY.xattr.security.capability',
                      members['able'].pax_headers)
        self.assertEqual(2, sum(
            members[name].islnk() for name in ('etc/marker', 'hard',
                                              'harder')))
        self.assert_boots(content)

    def test_nothing_grows_from_one_to_the_next(self) -> None:
        content = self.snapshot(self.start_odd())
        image = self.ensure(content)
        sizes = [len(content)]
        for _ in range(2):
            self.uploaded.clear()
            server = self.run_workload(image, '/bin/sh', '-c',
                                       'exec sleep 1000')
            sizes.append(len(self.snapshot(server)))
            image = self.ensure(bytes(self.uploaded))
        self.assertLess(max(sizes) - min(sizes), 16 * 1024)
        self.assertEqual('written', self.output(image, 'cat /root/data'))

    def test_what_grew_meanwhile_is_there(self) -> None:
        server = self.start('cat /dev/zero | head -c 4194304 > /root/more; '
                            'echo more; exec sleep 1000')
        self.wait_for_log(server, 'more')
        self.useFixture(fixtures.MockPatchObject(
            room, 'needed', autospec=True, return_value=3 * 2 ** 20))
        before = self.holdings()
        self.upload(server)
        self.assertEqual(2, self.image_api.update.call_count)
        # The engine may still be at work on what nobody reads any more.
        self.assert_holds(before)
        self.assert_boots(bytes(self.uploaded))

    def test_what_was_deleted_is_gone(self) -> None:
        server = self.start('rm /etc/marker; echo removed; exec sleep 1000')
        self.wait_for_log(server, 'removed')
        members = self.members(self.snapshot(server))
        self.assertNotIn('etc/marker', members)
        self.assertIn('root/data', members)

    def test_is_no_instance_meanwhile(self) -> None:
        server = self.start()
        here = query.Query(self.engine)
        before = here.uuids(), here.workloads()

        def update(*args: Any, **kwargs: Any) -> dict[str, Any]:
            self.assertEqual(before, (here.uuids(), here.workloads()))
            return self._update(*args, **kwargs)

        self.image_api.update.side_effect = update
        self.snapshot(server)

    def test_a_killed_process_leaves_nothing_in_the_end(self) -> None:
        server = self.start()
        before = self.holdings()
        reference = names.snapshot_reference(str(uuid.uuid4()))
        self.engine.commit(names.workload(server.uuid), reference, pause=True,
                           changes=[f'LABEL {names.ROLE}=snapshot'])
        self.engine.create(f'nova-snapshot-{uuid.uuid4()}',
                           {'Image': reference, 'Cmd': ['none']})
        self.snapshots.discard_leftovers()
        self.assert_holds(before)

    def test_the_engine_goes_away_during_an_upload(self) -> None:
        """What is left of it goes when the engine is back."""
        server = self.start()
        wire = self.useFixture(proxy.Proxy(functional.engine_url()))
        self.snapshots = snapshot.Snapshot(
            client.Engine(wire.url, timeout=tests.PATIENCE), self.image_api)

        def fail(*args: Any, **kwargs: Any) -> None:
            wire.cut()
            raise exception.ImageQuotaExceeded(image_id='full')

        self.image_api.update.side_effect = fail
        before = self.holdings()
        self.assertRaises(exception.ImageQuotaExceeded, self.upload, server)
        self.assertNotEqual(before, self.holdings())
        wire.mend()
        self.snapshots.found()
        self.assert_holds(before)

    def test_whoever_looks_for_leftovers_harms_no_upload(self) -> None:
        def update(*args: Any, **kwargs: Any) -> dict[str, Any]:
            self.snapshots.discard_leftovers()
            return self._update(*args, **kwargs)

        self.image_api.update.side_effect = update
        self.assert_boots(self.snapshot(self.start()))

    def test_of_a_snapshot(self) -> None:
        first = self.snapshot(self.start())
        self.uploaded.clear()
        server = self.run_workload(self.ensure(first), '/bin/sh', '-c',
                                   'echo more >> /root/data; echo ready')
        self.wait_for_end(server)
        self.assertEqual('written\nmore', self.output(
            self.ensure(self.snapshot(server)), 'cat /root/data'))

    def test_nothing_of_this_host_goes_along(self) -> None:
        server = self.start()
        content = self.snapshot(server)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            documents = {}
            for name in ('config.json', 'manifest.json'):
                found = tar.extractfile(name)
                assert found is not None
                documents[name] = found.read().decode()
        for text in (names.LABEL_PREFIX, server.uuid, server.project_id):
            for document in documents.values():
                self.assertNotIn(text, document)
        self.assertIsNone(json.loads(documents['manifest.json'])[0]
                          ['RepoTags'])

    def assert_harmless(self, fail: Callable[..., None],
                        error: type[Exception]) -> None:
        """Check that a snapshot that fails changes nothing."""
        server = self.start()
        self.image_api.update.side_effect = fail
        before = self.holdings()
        self.assertRaises(error, self.snapshot, server)
        # The engine may still be at work on what nobody reads any more.
        self.assert_holds(before)
        self.assertEqual('running', self.state(server)['Status'])

    def test_without_a_container(self) -> None:
        """Nova would take it for deleted, and leave it in its task."""
        server = self.make_instance()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'refresh', autospec=True))
        before = self.holdings()
        error = self.assertRaises(errors.NoContainer, self.snapshot, server)
        self.assertIn('Rebuild the server', error.format_message())
        self.assert_holds(before)

    def test_somebody_removes_what_is_read(self) -> None:
        server = self.start()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'refresh', autospec=True))

        def update(context: context.RequestContext, image_id: str,
                   *args: Any, **kwargs: Any) -> dict[str, Any]:
            self.engine.remove(f'nova-snapshot-{image_id}')
            return self._update(context, image_id, *args, **kwargs)

        self.useFixture(fixtures.MockPatchObject(
            room, 'needed', autospec=True, return_value=None))
        self.image_api.update.side_effect = update
        error = self.assertRaises(errors.EngineError, self.snapshot, server)
        self.assertNotIsInstance(error, errors.EngineNotFound)
        self.assertEqual('running', self.state(server)['Status'])

    def test_a_failure_before_the_upload(self) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise exception.ImageNotFound(image_id='gone')
        self.assert_harmless(fail, exception.ImageNotFound)

    def test_a_failure_in_the_middle(self) -> None:
        def fail(*args: Any, data: Any, **kwargs: Any) -> None:
            for _ in range(10):
                data.read(2 ** 20)
            raise exception.ImageQuotaExceeded(image_id='full')
        self.assert_harmless(fail, exception.ImageQuotaExceeded)

    def test_takes_constant_memory(self) -> None:
        server = self.run_workload(
            self.make_image(functional.Entry('large', bytes(2 ** 27))),
            '/bin/sh', '-c', 'exec sleep 1000')

        def update(*args: Any, data: Any, **kwargs: Any) -> dict[str, int]:
            size = 0
            while piece := data.read(2 ** 20):
                size += len(piece)
            return {'size': size}

        self.image_api.update.side_effect = update
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.snapshot(server)
        self.assertLess(tracemalloc.get_traced_memory()[1], 32 * 2 ** 20)


def _update_task_state(task_state: str,
                       expected_state: str = 'image_snapshot') -> None:
    """As nova-compute passes it to the driver."""
