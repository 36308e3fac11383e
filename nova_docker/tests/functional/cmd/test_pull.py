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

"""nova-docker-image pull, from a real Glance to a real engine."""

from __future__ import annotations

from collections.abc import Callable
import gzip
import os
import platform
import signal
from typing import Any
import uuid

import ddt
import fixtures

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.cmd import transfers
from nova_docker.tests.functional.images import base
from nova_docker.tests.unit.images import archives


@ddt.ddt
class PullTest(transfers.ImageCommandTestCase):
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

    def assert_nothing_arrives(self) -> None:
        """Fail if the engine has something that no one asked for."""
        self.assertEqual([], self.engine.images('nova-docker/pull:*'))

    def test_it_is_interrupted(self) -> None:
        image_id = self.command('push', self.make_image())
        self.during(lambda: os.kill(os.getpid(), signal.SIGHUP))
        self.assertIn('interrupted', self.command(
            'pull', image_id, '--as', self.name(), expected=130))
        self.assert_nothing_arrives()

    def test_it_is_interrupted_when_all_is_sent(self) -> None:
        """The engine has it a moment later, whoever waits for that."""
        image_id, name = self.command('push', self.make_image()), self.name()
        load = client.Engine.load_image

        def interrupted(engine: client.Engine, source: Any) -> None:
            load(engine, source)
            os.kill(os.getpid(), signal.SIGINT)
        self.useFixture(fixtures.MockPatchObject(
            client.Engine, 'load_image', autospec=True,
            side_effect=interrupted))
        self.assertIn('interrupted', self.command(
            'pull', image_id, '--as', name, expected=130))
        self.assert_nothing_arrives()
        self.assertEqual([], self.engine.images(name))

    @ddt.data('', '.', '..')
    def test_no_name(self, name: str) -> None:
        self.assertIn('no image of that name', self.command(
            'pull', name, expected=1))

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

    def test_no_cloud_is_named(self) -> None:
        for each in ('OS_CLOUD', 'OS_AUTH_URL'):
            self.useFixture(fixtures.EnvironmentVariable(each))
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', '/nowhere/clouds.yaml'))
        said = self.command('pull', 'web', cloud='', expected=1)
        for word in ('clouds.yaml', '--os-cloud'):
            self.assertIn(word, said)

    def test_no_glance(self) -> None:
        clouds = self.home / 'clouds.yaml'
        clouds.write_text('clouds: {test: {auth_type: none, auth: {endpoint: '
                          '"http://127.0.0.1:1"}}}\n')
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(clouds)))
        self.assertIn('127.0.0.1:1', self.command('pull', 'x', expected=1))
