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

"""The engine client against a real engine."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import io
import tarfile
import threading
import time

from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import proxy

#: Seconds of silence that are too many. A slow engine still answers sooner.
SHORT = 3


class ErrorsTestCase(base.EngineTestCase):
    def test_not_found(self) -> None:
        for call in (self.engine.container, self.engine.start,
                     self.engine.image, self.engine.pause):
            error = self.assertRaises(errors.EngineNotFound, call,
                                      'nova-docker-test-absent')
            self.assertEqual(404, error.status)
            self.assertIn('nova-docker-test-absent', error.message)

    def test_conflict(self) -> None:
        instance = self.make_instance()
        name = self.create(instance, self.make_image())
        error = self.assertRaises(
            errors.EngineConflict, self.create, instance, self.make_image())
        self.assertEqual(409, error.status)
        self.assertIn(name, error.message)

    def test_bad_request(self) -> None:
        image = self.make_image()
        error = self.assertRaises(
            errors.EngineBadRequest, self.create,
            self.make_instance(tests.make_flavor(memory_mb=1)), image)
        self.assertEqual(400, error.status)
        self.assertIn('memory', error.message)

    def test_the_engine_fails(self) -> None:
        image = self.make_image()
        name = self.create(self.make_instance(tests.make_flavor(
            extra_specs={'docker:sysctl_vm.nosuch': '1'})), image)
        error = self.assertRaises(errors.EngineError, self.engine.start, name)
        self.assertIs(errors.EngineError, type(error))
        self.assertEqual(500, error.status)
        self.assertIn('vm.nosuch', error.message)

    def test_what_is_gone_can_be_removed_and_signalled_again(self) -> None:
        name = self.create(self.make_instance(), self.make_image())
        self.engine.signal(name, 'SIGHUP')
        self.assertEqual(0, self.engine.count_processes(name))
        self.engine.stop(name, 1)
        self.engine.remove(name)
        self.engine.remove(name)
        self.engine.remove_image('nova-docker-test/absent:1')

    def test_what_is_just_being_removed_can_be_removed(self) -> None:
        files = [base.Entry(f'many/{number}') for number in range(20000)]
        name = self.create(self.make_instance(), self.make_image())
        self.engine.write_archive(
            name, '/', base.root_file_system(files))
        with futures.ThreadPoolExecutor(8) as pool:
            for made in [pool.submit(self.engine.remove, name)
                         for _number in range(8)]:
                made.result()
        self.assertRaises(errors.EngineNotFound, self.engine.container, name)


class UnavailableTestCase(base.EngineTestCase):
    """Nothing waits for ever, and nothing of the SDK comes through."""

    def test_no_socket(self) -> None:
        self.assertRaises(
            errors.EngineUnavailable,
            client.Engine('unix:///nonexistent/docker.sock').info)

    def test_nobody_listens(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        engine = client.Engine(wire.url)
        engine.info()
        wire.cut()
        self.assertRaises(errors.EngineUnavailable, engine.info)
        wire.mend()
        engine.info()

    def test_an_engine_that_hangs_before_the_first_call(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        wire.hang()
        engine = client.Engine(wire.url, timeout=SHORT,
                               stream_timeout=SHORT)
        for call in (engine.info, lambda: engine.events(0, {}),
                     lambda: engine.load_image([b'x'])):
            self.assertRaises(errors.EngineUnavailable, call)

    def test_no_thread_waits_behind_another_for_an_engine_that_hangs(
            self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        wire.hang()
        engine = client.Engine(wire.url, timeout=SHORT)
        failures: list[errors.EngineUnavailable] = []

        def ask() -> None:
            failures.append(self.assertRaises(errors.EngineUnavailable,
                                              engine.info))
        threads = [threading.Thread(target=ask) for _number in range(30)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(tests.PATIENCE)
        self.assertEqual(len(threads), len(failures))
        # One after the other would take the time-out of each.
        self.assertLess(time.monotonic() - began, len(threads) * SHORT / 2)

    def test_an_engine_that_hangs_in_every_short_call(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        engine = client.Engine(wire.url, timeout=SHORT,
                               stream_timeout=SHORT)
        engine.info()
        wire.hang()
        calls: list[Callable[[], object]] = [
            lambda: engine.container('x'), lambda: engine.start('x'),
            lambda: engine.stop('x', 0), lambda: engine.remove('x'),
            lambda: engine.stats('x'), lambda: engine.stat('x', '/'),
            lambda: engine.containers([names.UUID]),
            lambda: list(engine.log_tail('x', 1)),
            lambda: engine.write_archive('x', '/', b'')]
        with futures.ThreadPoolExecutor(len(calls)) as pool:
            for made in [pool.submit(call) for call in calls]:
                self.assertRaises(errors.EngineUnavailable, made.result)

    def test_a_log_that_stops_in_the_middle(self) -> None:
        image = self.make_image(changes=['CMD yes 0123456789 | head -n 99999'])
        for tty in ('true', 'false'):
            instance = self.run_workload(image, metadata={'docker:tty': tty})
            self.wait_for_end(instance)
            wire = self.useFixture(proxy.Proxy(self.url))
            engine = client.Engine(wire.url, timeout=SHORT)
            log = engine.log_tail(names.workload(instance.uuid), 99999)
            next(log)
            wire.hang()
            self.assertRaises(errors.EngineUnavailable, list, log)

    def test_an_image_that_hangs_on_its_way(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        engine = client.Engine(wire.url, timeout=SHORT,
                               stream_timeout=SHORT)
        saved = b''.join(self.engine.save_image(self.make_image()))
        engine.load_image([saved])
        wire.hang()
        self.assertRaises(errors.EngineUnavailable, engine.load_image,
                          [saved])

    def test_a_removal_may_take_long(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        engine = client.Engine(wire.url, timeout=1, stream_timeout=SHORT)
        engine.remove('x')
        wire.hang()
        began = time.monotonic()
        self.assertRaises(errors.EngineUnavailable, engine.remove, 'x')
        self.assertGreaterEqual(time.monotonic() - began, SHORT)

    def test_an_engine_that_was_replaced(self) -> None:
        """What was negotiated with the one before holds no longer."""
        engine = client.Engine(self.url)
        engine.info()
        engine._calls._version = '1.999'
        self.assertRaises(errors.EngineBadRequest, engine.info)
        engine.renegotiate()
        engine.info()


class RunTestCase(base.EngineTestCase):
    def test_no_byte_is_lost(self) -> None:
        """Also of what is there before the engine's answer is read."""
        instance = self.run_workload(self.make_image())
        wire = self.useFixture(proxy.Proxy(self.url))
        wire.gather()
        engine = client.Engine(wire.url)
        text = '0123456789' * 3000
        self.assertEqual((3, text.encode()), engine.run(
            names.workload(instance.uuid),
            ['sh', '-c', f'printf {text}; exit 3']))
        self.assertEqual((0, b'entered'), self.engine.run(
            names.workload(instance.uuid), ['cat'], b'entered'))


class ImagesTestCase(base.EngineTestCase):
    def test_an_archive_that_is_none(self) -> None:
        error = self.assertRaises(
            errors.EngineError, self.engine.load_image, [b'no tar' * 1000])
        self.assertNotIsInstance(error, errors.EngineUnavailable)

    def test_the_engine_says_why_long_before_the_end(self) -> None:
        """It closes the connection while we are still sending."""
        def chunks() -> Iterator[bytes]:
            for _number in range(256):
                yield b'no tar' * 100000
        # An engine that keeps images in containerd leaves what it refuses.
        reference = 'nova-docker-test/none:1'
        self.addCleanup(self.engine.remove_image, reference, force=True)
        error = self.assertRaises(
            errors.EngineError, self.engine.import_image, chunks(), reference)
        self.assertNotIsInstance(error, errors.EngineUnavailable)

    def test_an_error_of_the_source_reaches_the_caller(self) -> None:
        def chunks() -> Iterator[bytes]:
            yield b'\0' * 512
            raise LookupError('no more')
        self.assertRaises(LookupError, self.engine.load_image, chunks())

    def test_import_tag_save_remove(self) -> None:
        image = self.make_image()
        copy = 'nova-docker-test/copy:1'
        self.addCleanup(self.engine.remove_image, copy)
        self.engine.tag_image(image, copy)
        self.assertEqual([copy], [
            tag for each in self.engine.images('nova-docker-test/copy')
            for tag in each['RepoTags'] if 'copy' in tag])
        saved = b''.join(self.engine.save_image(copy))
        self.engine.remove_image(copy)
        self.assertRaises(errors.EngineNotFound, self.engine.image, copy)
        self.engine.load_image([saved])
        self.assertEqual(self.engine.image(image)['Id'],
                         self.engine.image(copy)['Id'])

    def test_an_image_that_lost_its_name(self) -> None:
        image = self.make_image()
        self.run_workload(image)
        found = self.engine.image(image)['Id']
        self.engine.remove_image(image, force=True)
        self._images.append(found)
        self.assertIn(found, [each['Id'] for each in
                              self.engine.all_images()])

    def test_commit(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c', 'echo kept > /file; sync')
        self.wait_for_end(instance)
        reference = 'nova-docker-test/commit:1'
        self.addCleanup(self.engine.remove_image, reference, force=True)
        self.engine.commit(names.workload(instance.uuid), reference,
                           pause=True, changes=['CMD ["cat", "/file"]'])
        again = self.run_workload(reference)
        self.wait_for_end(again)
        self.assertEqual('kept', self.log(again).strip())


class EventsTestCase(base.EngineTestCase):
    def test_events_until_closed(self) -> None:
        instance = self.make_instance()
        filters = {'label': [f'{names.UUID}={instance.uuid}'],
                   'event': ['start']}
        stream = self.engine.events(time.time(), filters)
        heard: list[str] = []

        def listen() -> None:
            with self.assertRaisesRegex(errors.EngineUnavailable, '.'):
                for record in stream:
                    heard.append(record['Actor']['Attributes']['name'])
        thread = threading.Thread(target=listen)
        thread.start()
        name = self.create(instance, self.make_image())
        self.engine.start(name)
        tests.wait_until(lambda: name in heard, 'the event is heard')
        stream.close()
        stream.close()
        thread.join(tests.PATIENCE)
        self.assertFalse(thread.is_alive())
        self.assertEqual([names.sandbox(instance.uuid), name], heard)

    def test_silence_ends_the_iteration(self) -> None:
        engine = client.Engine(self.url, timeout=SHORT)
        nothing = {'label': ['nova-docker-test=nothing']}
        stream = engine.events(time.time(), nothing)
        self.addCleanup(stream.close)
        self.assertEqual([], list(stream))


class FilesTestCase(base.EngineTestCase):
    def test_stat(self) -> None:
        name = self.create(self.make_instance(), self.make_image(
            base.Entry('etc/some', 'text', mode=0o640),
            base.symlink('etc/first', 'second'),
            base.symlink('etc/second', '../etc/some'),
            base.symlink('etc/nowhere', '/no/such'),
            base.directory('etc/dir')))
        some = self.engine.stat(name, '/etc/some')
        self.assertTrue(some.is_file)
        self.assertEqual((0o640, 4, ''),
                         (some.mode & 0o777, some.size, some.link_target))
        self.assertEqual('/etc/some', self.engine.stat(
            name, '/etc/first').link_target)
        self.assertEqual('/no/such', self.engine.stat(
            name, '/etc/nowhere').link_target)
        self.assertFalse(self.engine.stat(name, '/etc/dir').is_file)
        self.assertRaises(errors.EngineNotFound, self.engine.stat, name,
                          '/etc/other')

    def test_read_and_write(self) -> None:
        name = self.create(self.make_instance(), self.make_image())
        self.engine.write_archive(name, '/', base.root_file_system(
            [base.Entry('tmp/new', 'text')]))
        with tarfile.open(fileobj=io.BytesIO(
                self.engine.read_archive(name, '/tmp/new'))) as tar:
            self.assertEqual(['new'], tar.getnames())
