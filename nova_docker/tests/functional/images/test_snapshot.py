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

from nova import context
from nova import exception
from nova.image import glance as nova_glance
from nova import objects

from nova_docker.images import snapshot
from nova_docker.instances import query
from nova_docker import names
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.images import base


class SnapshotTest(base.ImageTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.uploaded = bytearray()
        self.image_api = mock.create_autospec(nova_glance.API, instance=True)
        self.image_api.update.side_effect = self._update

    def _update(self, context: context.RequestContext, image_id: str,
                metadata: dict[str, Any], data: Any) -> dict[str, Any]:
        while piece := data.read(2 ** 20):
            self.uploaded += piece
        return {'size': len(self.uploaded)}

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
        snapshot.Snapshot(self.engine, self.image_api)(
            context.get_admin_context(), server, str(uuid.uuid4()),
            mock.create_autospec(_update_task_state))
        self.assertEqual(before, self.holdings())
        return bytes(self.uploaded)

    def assert_boots(self, content: bytes) -> None:
        self.assertEqual('this is the image\nwritten', self.output(
            self.ensure(content), 'cat /etc/marker /root/data'))

    def test_of_a_running_server(self) -> None:
        server = self.start()
        pid = self.state(server)['Pid']
        self.assert_boots(self.snapshot(server))
        self.assertEqual('running', self.state(server)['Status'])
        self.assertEqual(pid, self.state(server)['Pid'])

    def test_of_a_stopped_server(self) -> None:
        server = self.start('exit 0')
        self.wait_for_end(server)
        self.assert_boots(self.snapshot(server))
        self.assertEqual('exited', self.state(server)['Status'])

    def test_of_a_paused_server(self) -> None:
        server = self.start()
        self.engine.pause(names.workload(server.uuid))
        self.assert_boots(self.snapshot(server))
        self.assertEqual('paused', self.state(server)['Status'])

    def test_what_was_deleted_is_gone(self) -> None:
        server = self.start('rm /etc/marker; echo removed; exec sleep 1000')
        self.wait_for_log(server, 'removed')
        with tarfile.open(fileobj=io.BytesIO(self.snapshot(server))) as tar:
            layer = tar.extractfile('layer.tar')
            assert layer is not None
            with tarfile.open(fileobj=layer) as tree:
                self.assertNotIn('etc/marker', tree.getnames())
                self.assertIn('root/data', tree.getnames())

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
        snapshot.Snapshot(self.engine, self.image_api).discard_leftovers()
        self.assertEqual(before, self.holdings())

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
        tests_base.wait_until(lambda: self.holdings() == before,
                              'the engine has what it had before')
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
