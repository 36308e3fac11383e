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

"""nova-docker-image between a real engine and a real Glance."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import gzip
import io
import os
import pathlib
import platform
import signal
import tracemalloc
from typing import Any
from typing import ClassVar
import uuid

import ddt
import fixtures
import openstack

from nova_docker.cmd import image
from nova_docker.cmd import imageservice
from nova_docker import errors
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.cmd import glance
from nova_docker.tests.functional.images import base
from nova_docker.tests.functional import proxy
from nova_docker.tests.unit.images import archives

_MIB = 1024 ** 2


class ImageCommandTestCase(base.ImageTestCase):
    glance: ClassVar[glance.Glance]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.glance = glance.Glance(cls)

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(self.glance.clouds)))
        self.addCleanup(signal.signal, signal.SIGTERM,
                        signal.getsignal(signal.SIGTERM))
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        connection = openstack.connect(cloud='test')
        self.addCleanup(connection.close)
        self.api = connection.image
        self.addCleanup(self._empty)

    def _empty(self) -> None:
        for hidden in ('false', 'true'):
            for each in self.listed(os_hidden=hidden):
                self.api.delete(f"/images/{each['id']}")

    def listed(self, **filters: str) -> list[dict[str, Any]]:
        """Return what Glance shows in a list."""
        return list(self.api.get('/images', params=filters).json()['images'])

    def command(self, *arguments: str, cloud: str = 'test',
                expected: int = 0) -> str:
        """Run the command; return what it prints, or says if it fails."""
        said, printed = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), \
                contextlib.redirect_stdout(printed):
            status = image.main(['--os-cloud', cloud, '--docker-url',
                                 self.url, *arguments])
        self.assertEqual(expected, status, said.getvalue())
        if not status:
            return printed.getvalue().strip()
        self.assertEqual('', printed.getvalue())
        [sentence] = said.getvalue().splitlines()
        return sentence

    def shown(self, image_id: str) -> dict[str, Any]:
        """Return an image as Glance has it."""
        return dict(self.api.get(f'/images/{image_id}').json())

    def name(self) -> str:
        """Return a name for an engine image that goes with the test."""
        name = f'nova-docker-test/pulled:{uuid.uuid4()}'
        self.addCleanup(self.engine.remove_image, name, force=True)
        return name

    def file(self, content: bytes) -> str:
        """Return the path of a file."""
        path = self.home / str(uuid.uuid4())
        path.write_bytes(content)
        return str(path)

    def assert_nothing_left(self) -> None:
        """Fail if Glance has an image; it may yet remove the data of one."""
        self.assertEqual([], self.listed())
        tests_base.wait_until(lambda: not self.glance.files(),
                              'Glance has no data')

    def during(self, act: Callable[[], None]) -> None:
        """Have something happen as soon as a transfer is under way."""
        def report(quiet: bool, label: str, total: int,
                   pieces: Iterable[bytes]) -> Iterator[bytes]:
            for number, piece in enumerate(pieces):
                if number == 1:
                    act()
                yield piece
        self.useFixture(fixtures.MockPatchObject(image, '_report', report))


@ddt.ddt
class PushTest(ImageCommandTestCase):
    def test_what_glance_has(self) -> None:
        name = self.make_image()
        image_id = self.command('push', name)
        self.assertEqual([image_id], self.glance.files())
        found = self.shown(image_id)
        self.assertEqual(
            {'name': name.replace(':', '-'), 'status': 'active',
             'container_format': 'docker', 'disk_format': 'raw',
             'img_hv_type': 'docker', 'min_disk': 1,
             'hw_architecture': platform.machine(), 'min_ram': 6,
             'visibility': 'private', 'os_hidden': False},
            {key: found[key] for key in (
                'name', 'status', 'container_format', 'disk_format',
                'img_hv_type', 'min_disk', 'hw_architecture', 'min_ram',
                'visibility', 'os_hidden')})

    def test_the_name_is_found_by_any_client(self) -> None:
        name = self.make_image()
        self.assertIn(':', name)
        image_id = self.command('push', name)
        self.assertEqual(image_id, self.command('push', name))
        self.assertEqual(image_id, self.api.find_image(
            self.shown(image_id)['name'], ignore_missing=False).id)

    def test_what_is_asked_for(self) -> None:
        found = self.shown(self.command(
            'push', self.make_image(), '--as', 'web', '--min-disk', '3',
            '--min-ram', '128', '--visibility', 'shared',
            '--property', 'os_command_line=a=b', '--property', 'x/y~z=1'))
        self.assertEqual(
            ('web', 3, 128, 'shared', 'a=b', '1'),
            tuple(found[key] for key in (
                'name', 'min_disk', 'min_ram', 'visibility',
                'os_command_line', 'x/y~z')))

    def test_again(self) -> None:
        """Nothing is sent, and what its owner changed stays."""
        name = self.make_image()
        image_id = self.command('push', name, '--as', 'web')
        sent = self.glance.path(image_id).stat().st_mtime_ns
        self.command('push', name, '--as', 'web', '--visibility', 'shared')
        self.assertEqual(image_id, self.command(
            'push', name, '--as', 'web', '--property', 'x/y=1'))
        self.assertEqual([image_id], self.glance.files())
        self.assertEqual(sent, self.glance.path(image_id).stat().st_mtime_ns)
        found = self.shown(image_id)
        self.assertEqual(('shared', '1'), (found['visibility'], found['x/y']))

    def test_the_name_goes_to_what_is_pushed(self) -> None:
        old, new = self.make_image(), self.make_image(base.MARKER)
        first = self.command('push', old, '--as', 'a:web')
        second = self.command('push', new, '--as', 'a:web')
        self.assertEqual([second], [each['id'] for each in self.listed()])
        self.assertTrue(self.shown(first)['os_hidden'])
        self.assertEqual(first, self.command('push', old, '--as', 'a:web'))
        self.assertEqual([first], [each['id'] for each in self.listed()])
        self.assertEqual(sorted([first, second]), self.glance.files())

    def test_another_name(self) -> None:
        name = self.make_image()
        self.assertNotEqual(self.command('push', name, '--as', 'one'),
                            self.command('push', name, '--as', 'two'))
        self.assertEqual(2, len(self.listed()))

    def test_what_only_looks_the_same(self) -> None:
        """A snapshot inherits an image's properties, and is another."""
        name = self.make_image()
        image_id = self.command('push', name, '--as', 'web')
        found = self.shown(image_id)
        other = self.api.post('/images', json={
            'name': 'web', 'container_format': 'docker', 'disk_format': 'raw',
            **{key: value for key, value in found.items()
               if key.startswith('container_image_')}}).json()['id']
        self.api.put(f'/images/{other}/file', data=b'other', headers={
            'Content-Type': 'application/octet-stream'})
        self.api.delete(f'/images/{image_id}')
        third = self.command('push', name, '--as', 'web')
        self.assertNotIn(third, (image_id, other))
        self.assertFalse(self.shown(other)['os_hidden'])

    def test_many_images(self) -> None:
        """Glance lists 25 at a time."""
        name = self.make_image()
        image_id = self.command('push', name, '--as', 'web')
        for _number in range(30):
            self.api.post('/images', json={'name': 'web'})
        self.assertEqual(image_id, self.command('push', name, '--as', 'web'))

    def test_no_such_image(self) -> None:
        self.assertIn('no-such-image: Docker Engine has no image',
                      self.command('push', 'no-such-image', expected=1))
        self.assertEqual([], self.listed())

    def test_no_name_is_a_command_for_a_terminal(self) -> None:
        self.assertIn('no?[2J', self.command('push', 'no\x1b[2J', expected=1))

    @ddt.data(b'', b'hello', b'\x1f\x8b truncated')
    def test_no_archive(self, content: bytes) -> None:
        self.command('push', 'web', '--file', self.file(content), expected=1)
        self.assertEqual([], self.listed())

    def test_a_truncated_archive(self) -> None:
        content = self.saved()
        self.command('push', 'web', '--file',
                     self.file(content[:len(content) // 2]), expected=1)
        self.assertEqual([], self.listed())

    def test_no_such_file(self) -> None:
        self.assertIn('No such file', self.command(
            'push', 'web', '--file', str(self.home / 'none'), expected=1))

    def test_it_is_interrupted(self) -> None:
        self.during(lambda: os.kill(os.getpid(), signal.SIGTERM))
        self.assertIn('interrupted', self.command(
            'push', self.make_image(), expected=130))
        self.assert_nothing_left()

    def test_the_engine_goes_away(self) -> None:
        name = self.make_image()
        wire = self.useFixture(proxy.Proxy(self.url))
        self.url = wire.url
        self.during(wire.cut)
        self.assertIn('Docker Engine', self.command('push', name, expected=1))
        self.assert_nothing_left()

    def test_glance_has_something_else(self) -> None:
        """A proxy on the way cut the end off, say."""
        whole = imageservice.ImageService._get

        def cut(service: imageservice.ImageService,
                image_id: str) -> dict[str, Any]:
            return {**whole(service, image_id), 'os_hash_value': '0' * 128}
        self.useFixture(fixtures.MockPatchObject(
            imageservice.ImageService, '_get', cut))
        self.assertIn('not what was sent', self.command(
            'push', self.make_image(), expected=1))
        self.assert_nothing_left()

    def test_memory(self) -> None:
        """No image is ever in memory as a whole."""
        name = self.make_image(functional.Entry('large', bytes(64 * _MIB)))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        image_id = self.command('push', name)
        self.command('pull', image_id, '--as', self.name())
        self.assertLess(tracemalloc.get_traced_memory()[1], 48 * _MIB)


@ddt.ddt
class PullTest(ImageCommandTestCase):
    def assert_boots(self, reference: str) -> None:
        self.assertEqual('this is the image',
                         self.output(reference, 'cat /etc/marker'))

    def test_round_trip(self) -> None:
        name, pulled = self.make_image(base.MARKER), self.name()
        original = self.engine.image(name)['Id']
        self.command('push', name, '--as', 'web')
        self.assertEqual(pulled, self.command('pull', 'web', '--as', pulled))
        self.assertEqual(original, self.engine.image(pulled)['Id'])
        self.assertEqual([], self.engine.images('nova-docker/pull'))
        self.assert_boots(pulled)

    def test_by_the_name_in_the_engine(self) -> None:
        name = self.make_image(base.MARKER)
        image_id = self.command('push', name)
        self.assertEqual(name, self.command('pull', name))
        self.assertEqual(self.engine.image(name)['Id'],
                         self.shown(image_id)['container_image_id'])

    @ddt.data('saved', 'zipped', 'layout', 'root file system',
              'zipped root file system')
    def test_archive(self, kind: str) -> None:
        tree = functional.root_file_system([base.MARKER])
        makers: dict[str, Callable[[], bytes]] = {
            'saved': self.saved,
            'zipped': lambda: gzip.compress(self.saved()),
            'layout': lambda: self.layout(tree, gzip.compress(tree)),
            'root file system': lambda: tree,
            'zipped root file system': lambda: gzip.compress(tree)}
        content = makers[kind]()
        path = self.file(content)
        image_id = self.command('push', 'web', '--file', path)
        self.assertEqual(content, self.glance.path(image_id).read_bytes())
        found = self.shown(image_id)
        self.assertEqual(
            ('bare' if 'root' in kind else 'docker', 1, platform.machine()),
            (found['container_format'], found['min_disk'],
             found['hw_architecture']))
        self.assertEqual(image_id, self.command('push', 'web', '--file', path))
        self.assert_boots(self.command('pull', image_id, '--as', self.name()))

    def test_a_name_that_is_a_command_for_a_terminal(self) -> None:
        """The engine says it as it is."""
        tree = self.file(archives.tar(
            [('etc\x1b[2J', b''), ('etc\x1b[2J/x', b''), ('etc/x', b'')]))
        image_id = self.command('push', 'web', '--file', tree)
        self.assertIn('etc?[2J', self.command(
            'pull', image_id, '--as', self.name(), expected=1))

    def test_damaged(self) -> None:
        """What has the name in the engine keeps it."""
        pulled = self.name()
        self.engine.tag_image(self.make_image(), pulled)
        mine = self.engine.image(pulled)['Id']
        image_id = self.command('push', self.make_image(base.MARKER))
        before = self.holdings()
        path = self.glance.path(image_id)
        content = path.read_bytes()
        for damaged in (content[:-100],
                        content[:5000] + b'damaged' + content[5007:]):
            path.write_bytes(damaged)
            self.command('pull', image_id, '--as', pulled, expected=1)
            self.assertEqual(mine, self.engine.image(pulled)['Id'])
            self.assert_holds(before)

    def test_another_image_of_the_same_size(self) -> None:
        """Every layer is right, and the image is not what Glance says."""
        image_id = self.command('push', 'a', '--file',
                                self.file(self.saved()))
        other = self.saved()
        path = self.glance.path(image_id)
        if path.read_bytes() == other:
            other += bytes(512)
        path.write_bytes(other)
        pulled = self.name()
        self.assertIn('checksum', self.command(
            'pull', image_id, '--as', pulled, expected=1))
        self.assertRaises(errors.EngineNotFound, self.engine.image, pulled)

    def test_two_of_one_name(self) -> None:
        ids = [self.command('push', self.make_image(), '--as', 'one')]
        ids.append(self.api.post('/images', json={'name': 'one'}).json()['id'])
        self.assertIn('2 images of that name', self.command(
            'pull', 'one', expected=1))
        self.command('pull', ids[0], '--as', self.name())
        self.assertIn('queued', self.command(
            'pull', ids[1], '--as', self.name(), expected=1))

    def test_no_such_image(self) -> None:
        self.assertIn('no:such: Glance has no image', self.command(
            'pull', 'no:such', expected=1))

    def test_no_container_image(self) -> None:
        image_id = self.api.post('/images', json={
            'name': 'disk', 'container_format': 'ovf',
            'disk_format': 'raw'}).json()['id']
        self.api.put(f'/images/{image_id}/file', data=b'disk', headers={
            'Content-Type': 'application/octet-stream'})
        self.assertIn('ovf and raw', self.command('pull', 'disk', expected=1))

    def test_no_name_for_an_engine(self) -> None:
        image_id = self.command('push', self.make_image(), '--as', 'My Image')
        self.assertIn('--as', self.command('pull', image_id, expected=1))

    def test_a_name_of_the_drivers_own(self) -> None:
        """Servers would start from it."""
        own = f'nova-docker/image:{uuid.uuid4()}'
        self.addCleanup(self.engine.remove_image, own, force=True)
        image_id = self.command('push', self.make_image(), '--as', own)
        for arguments in ([image_id], [own],
                          [image_id, '--as', f'docker.io/{own}']):
            self.assertIn('only the driver', self.command(
                'pull', *arguments, expected=1))
            self.assertRaises(errors.EngineNotFound, self.engine.image, own)

    def test_the_owner_of_an_image_takes_no_name(self) -> None:
        """Who pulls it by its id has not asked for that name."""
        taken = self.make_image()
        mine = self.engine.image(taken)['Id']
        # Once its name is taken in the end.
        self._images.append(mine)
        image_id = self.command('push', self.make_image(base.MARKER),
                                '--as', taken)
        before = self.holdings()
        self.assertIn('another image here', self.command(
            'pull', image_id, expected=1))
        self.assertEqual(mine, self.engine.image(taken)['Id'])
        self.assert_holds(before)
        self.command('pull', taken)
        self.assert_boots(taken)
        # The same image may come again.
        self.assertEqual(taken, self.command('pull', image_id))

    def test_no_cloud(self) -> None:
        self.assertIn('nowhere', self.command(
            'pull', 'web', cloud='nowhere', expected=1))

    def test_no_glance(self) -> None:
        clouds = self.home / 'clouds.yaml'
        clouds.write_text('clouds: {test: {auth_type: none, auth: {endpoint: '
                          '"http://127.0.0.1:1"}}}\n')
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(clouds)))
        self.assertIn('127.0.0.1:1', self.command('pull', 'x', expected=1))
