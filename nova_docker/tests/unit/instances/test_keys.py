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

"""Accounts of an image, and the archive of their authorized keys."""

from __future__ import annotations

import io
import tarfile

import ddt

from nova_docker.instances import keys
from nova_docker.tests import base

KEY = 'ssh-ed25519 AAAAC3Nza demo@example'
PASSWD = ('root:x:0:0:root:/:/bin/sh\n'
          '# a comment\n'
          'short:x\n'
          'web:x:1000:1001:Web:/srv/web:/bin/sh\n'
          'odd:x:a:b::/odd:/bin/sh\n'
          f'endless:x:{"9" * 5000}:0::/:\n'
          'up:x:5:5::/../../up/:/bin/sh\n'
          'nowhere:x:6:6::\n')


@ddt.ddt
class AccountTestCase(base.TestCase):
    @ddt.data('', '0', 'root', '0:0', 'root:www')
    def test_root(self, user: str) -> None:
        self.assertEqual(keys.ROOT, keys.account(user, ''))
        self.assertEqual(keys.Account(0, 0, '/'), keys.account(user, PASSWD))

    @ddt.data('web', '1000', 'web:www', '1000:5')
    def test_another(self, user: str) -> None:
        self.assertEqual(keys.Account(1000, 1001, '/srv/web'),
                         keys.account(user, PASSWD))

    def test_odd_homes(self) -> None:
        self.assertEqual(keys.Account(5, 5, '/up'),
                         keys.account('up', PASSWD))
        self.assertEqual(keys.Account(6, 6, '/'),
                         keys.account('nowhere', PASSWD))

    @ddt.data('nobody', '7', 'short', 'x', '1001', 'Web', '#', 'odd', 'a',
              'endless')
    def test_none(self, user: str) -> None:
        self.assertIsNone(keys.account(user, PASSWD))


class ArchiveTestCase(base.TestCase):
    def unpack(self, existing: str, owner: keys.Account = keys.ROOT
               ) -> tuple[list[tarfile.TarInfo], str]:
        packed = keys.archive(f'{KEY}\n', existing, owner)
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            members = tar.getmembers()
            stream = tar.extractfile(members[-1])
            assert stream is not None
            return members, stream.read().decode()

    def test_modes_and_owners(self) -> None:
        members, content = self.unpack('', keys.Account(7, 8, '/home/web'))
        self.assertEqual(
            [('home/web/.ssh', 0o700, 7, 8, True),
             ('home/web/.ssh/authorized_keys', 0o600, 7, 8, False)],
            [(each.name, each.mode, each.uid, each.gid, each.isdir())
             for each in members])
        self.assertEqual(f'{KEY}\n', content)

    def test_a_home_that_is_the_root_directory(self) -> None:
        members, _content = self.unpack('', keys.Account(0, 0, '/'))
        self.assertEqual('.ssh', members[0].name)

    def test_what_is_there_stays(self) -> None:
        self.assertEqual(f'one\ntwo\n{KEY}\n', self.unpack('one\ntwo')[1])
        self.assertEqual(f'one\n{KEY}\n', self.unpack(f'one\n{KEY}\n')[1])
        self.assertEqual(f'{KEY}\ntwo\n', self.unpack(f'{KEY}\ntwo\n')[1])
