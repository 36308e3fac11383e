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

"""Images from a Glance into a real engine."""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import gzip
import threading
import tracemalloc
import uuid

import ddt
import fixtures
from nova import context
from nova import exception

from nova_docker.images import store
from nova_docker import names
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.images import base
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import glance


def plain(content: bytes) -> bytes:
    return content


@ddt.ddt
class BootTest(base.ImageTestCase):

    def assert_boots(self, reference: str) -> None:
        self.assertEqual('this is the image',
                         self.output(reference, 'cat /etc/marker'))

    @ddt.data(plain, gzip.compress, archives.zstd)
    def test_docker_save(self, compress: Callable[[bytes], bytes]) -> None:
        self.assert_boots(self.ensure(compress(self.saved())))

    @ddt.data(plain, gzip.compress, archives.zstd)
    def test_layout(self, compress: Callable[[bytes], bytes]) -> None:
        tree = functional.root_file_system([base.MARKER])
        self.assert_boots(self.ensure(compress(self.layout(tree))))

    @ddt.data(gzip.compress, archives.zstd)
    def test_layout_with_compressed_layers(
            self, compress: Callable[[bytes], bytes]) -> None:
        tree = functional.root_file_system([base.MARKER])
        self.assert_boots(self.ensure(self.layout(tree, compress(tree))))

    @ddt.data(plain, gzip.compress, archives.zstd)
    def test_root_file_system(self, compress: Callable[[bytes], bytes]
                              ) -> None:
        tree = functional.root_file_system([base.MARKER])
        reference = self.ensure(compress(tree), 'bare')
        self.assert_boots(reference)
        shell = self.run_workload(reference)
        self.assertEqual('running', self.state(shell)['Status'])

    def test_a_declared_volume_is_on_the_root_disk(self) -> None:
        image = self.make_image(
            changes=['VOLUME /data', 'CMD ["/bin/sh"]'])
        content = b''.join(self.engine.save_image(image))
        server = self.run_workload(self.ensure(content))
        mounts = self.engine.container(names.workload(server.uuid))['Mounts']
        self.assertNotIn('/data', [mount['Destination'] for mount in mounts])

    def test_a_health_check_is_slowed_down(self) -> None:
        image = self.make_image(changes=[
            'HEALTHCHECK --interval=1s CMD /bin/true', 'CMD ["/bin/sh"]'])
        content = b''.join(self.engine.save_image(image))
        server = self.run_workload(self.ensure(content))
        check = self.engine.container(
            names.workload(server.uuid))['Config']['Healthcheck']
        self.assertEqual((['CMD-SHELL', '/bin/true'], 10 * 10 ** 9),
                         (check['Test'], check['Interval']))


@ddt.ddt
class HarmlessTest(base.ImageTestCase):

    def hostile(self, *tags: str) -> bytes:
        """Return an archive that claims tags in every way there is."""
        content = functional.root_file_system([base.MARKER])
        config = archives.config(
            [content], architecture=store.architectures()[0])
        files = archives.saved({
            'manifest.json': archives.manifest(
                RepoTags=list(tags), Layers=['0/layer.tar']),
            'config.json': config,
            'repositories': archives.encoded({
                tag.rpartition(':')[0]: {tag.rpartition(':')[2]: '0'}
                for tag in tags})}, [content])
        layout = archives.Layout()
        entries = [layout.image([content], config, annotations={
            'io.containerd.image.name': f'docker.io/{tag}',
            'org.opencontainers.image.ref.name': tag}) for tag in tags]
        return archives.tar([
            *files.items(), *layout.files.items(),
            ('index.json', archives.encoded({'manifests': entries}))])

    def test_no_tag_of_another_moves(self) -> None:
        victims = [names.image_reference(str(uuid.uuid4())),
                   f'nova-docker-test/victim:{uuid.uuid4()}',
                   self.boxes.prepare()]
        other = self.make_image()
        for victim in victims[:2]:
            self.engine.tag_image(other, victim)
            self.addCleanup(self.engine.remove_image, victim)
        before = [self.engine.image(victim)['Id'] for victim in victims]
        reference = self.ensure(self.hostile(*victims))
        self.assertEqual([reference],
                         self.engine.image(reference)['RepoTags'])
        self.assertEqual(before, [self.engine.image(victim)['Id']
                                  for victim in victims])

    def test_no_tag_is_made(self) -> None:
        tag = f'nova-docker-test/new:{uuid.uuid4()}'
        self.ensure(self.hostile(tag))
        self.assertEqual([], self.engine.images(tag))

    def assert_refused(self, content: bytes | glance.Glance,
                       container_format: str = 'docker') -> str:
        before = self.holdings()
        error = self.assertRaises(exception.ImageUnacceptable, self.ensure,
                                  content, container_format)
        self.assert_holds(before)
        return str(error)

    def test_a_truncated_archive_leaves_nothing(self) -> None:
        content = self.saved()
        end = len(content.rstrip(b'\0'))
        for packed in (content[:end], gzip.compress(content)):
            for part in (0.01, 0.5, 0.9, 0.999):
                self.assertIn('truncated', self.assert_refused(
                    packed[:int(len(packed) * part)]))

    def test_a_truncated_root_file_system_leaves_nothing(self) -> None:
        tree = functional.root_file_system()
        for part in (0.01, 0.5, 0.9):
            self.assertIn('truncated', self.assert_refused(
                tree[:int(len(tree) * part)], 'bare'))

    @ddt.data('docker', 'bare')
    def test_a_download_that_breaks_leaves_nothing(self, form: str) -> None:
        content = (self.saved() if form == 'docker'
                   else functional.root_file_system())

        def broken() -> Iterator[bytes]:
            yield from archives.pieces(content)
            # As Glance's client tells of a wrong checksum, after all data.
            raise OSError(32, 'Corrupt image download')

        self.assertIn('Corrupt image download',
                      self.assert_refused(glance.Glance(broken), form))

    def test_a_damaged_layer_leaves_nothing(self) -> None:
        tree = functional.root_file_system()
        self.assert_refused(
            self.layout(tree, functional.root_file_system([base.MARKER])))

    def test_a_layer_of_another_can_not_be_had_by_its_digest(self) -> None:
        secret = functional.root_file_system(
            [functional.Entry('etc/secret', 'of another tenant\n')])
        self.ensure(self.layout(secret))
        self.assertIn('layer 1', self.assert_refused(
            self.layout(secret, archives.tar([('bait', b'')]))))
        self.assertIn('of another tenant', self.output(
            self.ensure(self.layout(secret)), 'cat /etc/secret'))

    def test_nor_one_that_a_container_has_kept(self) -> None:
        """No image tells of it when its own was removed by force."""
        secret = functional.root_file_system(
            [functional.Entry('etc/secret', 'of another tenant\n')])
        reference = self.ensure(self.layout(secret))
        self.create(self.make_instance(), reference)
        self.engine.remove_image(reference, force=True)
        self.assertIn('layer 1', self.assert_refused(
            self.layout(secret, archives.tar([('bait', b'')]))))

    def test_what_only_the_engine_finds_leaves_nothing(self) -> None:
        # No two tools agree on what may be in a tar: this has a file below
        # a file.
        tree = archives.tar([('bin\x1b[2J', b''), ('bin\x1b[2J/sh', b'')])
        reason = self.assert_refused(tree, 'bare')
        self.assertIn('Docker Engine does not take it', reason)
        self.assertIn('bin?[2J', reason)

    @ddt.data('docker', 'bare')
    def test_something_else_leaves_nothing(self, form: str) -> None:
        for content, name in ((b'', 'empty'), (b'<html>', 'HTML'),
                              (b'QFI\xfb' + bytes(100_000), 'QCOW'),
                              (b'\x01' * 100_000, 'no tar archive')):
            self.assertIn(name, self.assert_refused(content, form))


class ConcurrentTest(base.ImageTestCase):

    def setUp(self) -> None:
        super().setUp()
        waiting = self.waiting = threading.Semaphore(0)

        class Outcome(futures.Future[str]):
            def result(self, timeout: float | None = None) -> str:
                waiting.release()
                return super().result(timeout)

        self.useFixture(fixtures.MockPatch(
            'nova_docker.images.store.futures.Future', Outcome))
        self.image_id = str(uuid.uuid4())
        self.addCleanup(self.engine.remove_image,
                        names.image_reference(self.image_id))

    def ensure_at_once(self, source: glance.Glance
                       ) -> list[futures.Future[str]]:
        """Return the outcome of 8 calls, of which 7 came during the first."""
        images = store.Store(self.engine, source.api)

        def ensure() -> str:
            return images.ensure(
                context.get_admin_context(), tests_base.make_instance(),
                base.image_meta(self.image_id))

        with futures.ThreadPoolExecutor(8) as pool:
            return [pool.submit(ensure) for _ in range(8)]

    def source(self, content: bytes) -> glance.Glance:
        def held() -> Iterator[bytes]:
            for _ in range(7):
                self.assertTrue(self.waiting.acquire(
                    timeout=tests_base.PATIENCE))
            yield from archives.pieces(content, 2 ** 20)
        return glance.Glance(held)

    def test_one_download_serves_all(self) -> None:
        source = self.source(self.saved())
        outcomes = self.ensure_at_once(source)
        self.assertEqual({names.image_reference(self.image_id)},
                         {outcome.result() for outcome in outcomes})
        self.assertEqual(1, len(source.downloads))

    def test_one_failure_serves_all_and_is_not_kept(self) -> None:
        source = self.source(b'not this')
        for outcome in self.ensure_at_once(source):
            self.assertIsInstance(outcome.exception(),
                                  exception.ImageUnacceptable)
        self.assertEqual(1, len(source.downloads))
        self.ensure(self.saved(), image_id=self.image_id)


class MemoryTest(base.ImageTestCase):

    def test_an_image_takes_constant_memory(self) -> None:
        content = self.saved(functional.Entry('large', bytes(2 ** 27)))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.ensure(content)
        self.assertLess(tracemalloc.get_traced_memory()[1], 32 * 2 ** 20)
