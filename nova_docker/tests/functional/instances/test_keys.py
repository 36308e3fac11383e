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

"""The key pair in real images."""

from __future__ import annotations

import fixtures

from nova_docker import errors
from nova_docker.instances import files
from nova_docker.instances import keys
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

KEY = 'ssh-ed25519 AAAAC3Nza demo@example'
_PASSWD = base.Entry('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'
                     'web:x:1000:1001:Web:/home/web:/bin/sh\n'
                     'homeless:x:7:7:::/bin/sh\n'
                     'odd:x:8:8:::relative:/bin/sh\n')


class KeysTestCase(base.EngineTestCase):
    def look(self, image: str, directory: str, **fields: object) -> str:
        """Return modes, owners and content of a user's .ssh directory."""
        metadata = {'docker:command': (
            f'["/bin/sh", "-c", "cd {directory} && '
            'stat -c \'%n %a %u %g\' . authorized_keys && '
            'cat authorized_keys"]')}
        instance = self.make_instance(metadata=metadata, key_data=KEY,
                                      **fields)
        name = self.create(instance, image)
        keys.Keys(self.engine).inject(instance)
        self.engine.start(name)
        self.wait_for_end(instance)
        return self.log(instance)

    def test_root(self) -> None:
        self.assertEqual(
            f'. 700 0 0\nauthorized_keys 600 0 0\n{KEY}\n',
            self.look(self.make_image(), '/root/.ssh'))

    def test_an_image_without_accounts_or_home(self) -> None:
        image = self.make_image(base.Entry('etc/passwd', ''))
        self.assertIn(KEY, self.look(image, '/root/.ssh'))

    def test_the_images_user(self) -> None:
        image = self.make_image(
            _PASSWD, base.directory('home/web', uid=1000, gid=1001))
        for user in ('web', '1000', 'web:0'):
            self.assertEqual(
                f'. 700 1000 1001\nauthorized_keys 600 1000 1001\n{KEY}\n',
                self.look(image, '/home/web/.ssh',
                          system_metadata={'image_docker_user': user}))

    def test_what_the_image_has_stays(self) -> None:
        image = self.make_image(
            base.directory('root/.ssh', mode=0o755),
            base.Entry('root/.ssh/authorized_keys', f'{KEY}2\n{KEY}3',
                       mode=0o644),
            base.Entry('root/.ssh/config', 'Host *'))
        self.assertEqual(
            '. 700 0 0\nauthorized_keys 600 0 0\n'
            f'{KEY}2\n{KEY}3\n{KEY}\n', self.look(image, '/root/.ssh'))

    def test_the_key_is_there_already(self) -> None:
        image = self.make_image(
            base.Entry('root/.ssh/authorized_keys', f'{KEY}\n'))
        self.assertEqual(1, self.look(image, '/root/.ssh').count(KEY))

    def test_accounts_behind_links(self) -> None:
        image = self.make_image(
            base.symlink('etc/passwd', '/lib/passwd'),
            base.Entry('lib/passwd', 'root:x:0:0::/superuser:/bin/sh\n'),
            base.Entry('lib/keys', f'{KEY}2\n'),
            base.symlink('superuser/.ssh/authorized_keys', '/lib/keys'))
        self.assertEqual(
            '. 700 0 0\nauthorized_keys 600 0 0\n' f'{KEY}2\n{KEY}\n',
            self.look(image, '/superuser/.ssh'))

    def test_links_that_lead_nowhere(self) -> None:
        image = self.make_image(
            base.symlink('etc/passwd', '/nothing'),
            base.symlink('root/.ssh/authorized_keys', 'nothing'))
        self.assertIn(KEY, self.look(image, '/root/.ssh'))

    def inject(self, image: str, **fields: object) -> str:
        """Inject a key and return the name of the container."""
        fields = {'key_data': KEY, **fields}
        instance = self.make_instance(**fields)
        self.create(instance, image)
        keys.Keys(self.engine).inject(instance)
        return names.workload(instance.uuid)

    def test_an_image_is_read_once_for_each_user(self) -> None:
        image = self.make_image(_PASSWD)
        injected = keys.Keys(self.engine)
        read = self.useFixture(fixtures.MockPatchObject(
            self.engine, 'read_archive', autospec=True,
            side_effect=self.engine.read_archive)).mock
        for user, count in (('root', 1), ('root', 1), ('web', 2), ('web', 2)):
            instance = self.make_instance(
                key_data=KEY, system_metadata={'image_docker_user': user})
            self.create(instance, image)
            injected.inject(instance)
            self.assertEqual(count, read.call_count)

    def test_an_account_that_can_have_no_key(self) -> None:
        """The server starts all the same: the key is in the metadata."""
        image = self.make_image(_PASSWD)
        for user in ('nobody', '4242', 'homeless', 'odd'):
            self.inject(image, system_metadata={'image_docker_user': user})

    def test_bytes_that_are_no_text_stay_as_they_are(self) -> None:
        path = 'root/.ssh/authorized_keys'
        name = self.inject(self.make_image(base.Entry(path, b'\xff key\n')))
        self.assertEqual(f'\udcff key\n{KEY}\n',
                         files.read(self.engine, name, f'/{path}'))

    def test_accounts_without_end(self) -> None:
        """What an image says may not fill the host's memory."""
        image = self.make_image(
            base.Entry('etc/passwd', b'#' * (files.LIMIT + 1)))
        error = self.assertRaises(errors.EngineError, self.inject, image)
        self.assertIn('/etc/passwd is larger', error.message)

    def test_a_read_only_root(self) -> None:
        self.inject(self.make_image(), flavor=tests.make_flavor(
            extra_specs={'docker:read_only': 'true'}))

    def test_no_key(self) -> None:
        name = self.inject(self.make_image(), key_data=None)
        self.assertEqual('', files.read(
            self.engine, name, '/root/.ssh/authorized_keys'))
