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

"""nova-docker-image push, from a real engine to a real Glance."""

from __future__ import annotations

import os
import platform
import signal
import tracemalloc
from typing import Any

import ddt
import fixtures

from nova_docker.cmd import imageservice
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.cmd import transfers
from nova_docker.tests.functional.images import base
from nova_docker.tests.functional import proxy

_MIB = 1024 ** 2


@ddt.ddt
class PushTest(transfers.ImageCommandTestCase):
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

    @ddt.data(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    def test_it_is_interrupted(self, number: signal.Signals) -> None:
        self.during(lambda: os.kill(os.getpid(), number))
        self.assertIn('interrupted', self.command(
            'push', self.make_image(), expected=130))
        self.assert_nothing_left()

    def test_no_engine(self) -> None:
        self.url = 'unix:///nowhere/docker.sock'
        said = self.command('push', 'web', expected=1)
        for word in ('/nowhere/docker.sock', 'start Docker', '--docker-url'):
            self.assertIn(word, said)

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
