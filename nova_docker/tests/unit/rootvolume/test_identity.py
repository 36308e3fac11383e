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

"""Who a user of an image is."""

from __future__ import annotations

import ddt
from oslotest import base

from nova_docker import errors
from nova_docker.rootvolume import identity

_PASSWD = ('root:x:0:0:root:/root:/bin/sh\n'
           '# nobody knows\n'
           'broken:x:a:b::/:\n'
           f'endless:x:{"9" * 5000}:0::/:\n'
           'web:x:33:34:The web:/var/www:/bin/false\n')
_GROUP = 'root:x:0:\nweb:x:34:web\nssl:x:35:mail,web\nstaff:x:36:mail\n'


@ddt.ddt
class IdentityTestCase(base.BaseTestCase):
    @ddt.data(('', (0, 0, (), '/root')),
              ('root', (0, 0, (), '/root')),
              ('web', (33, 34, (35,), '/var/www')),
              ('33', (33, 34, (35,), '/var/www')),
              ('web:staff', (33, 36, (), '/var/www')),
              ('web:99', (33, 99, (), '/var/www')),
              ('77', (77, 0, (), '/')),
              ('77:ssl', (77, 35, (), '/')))
    @ddt.unpack
    def test_as_the_engine_has_it(
            self, user: str,
            expected: tuple[int, int, tuple[int, ...], str]) -> None:
        self.assertEqual(identity.Identity(*expected),
                         identity.resolve(user, _PASSWD, _GROUP))

    @ddt.data(('me', "user 'me'"), ('web:us', "group 'us'"),
              ('broken', "user 'broken'"), ('endless', "user 'endless'"),)
    @ddt.unpack
    def test_nobody(self, user: str, words: str) -> None:
        error = self.assertRaises(errors.EngineBadRequest, identity.resolve,
                                  user, _PASSWD, _GROUP)
        self.assertIn(words, str(error))

    def test_numbers_that_are_none(self) -> None:
        """Python itself refuses the first, and takes the other."""
        for number in ('9' * 5000, '\u0663'):
            for user in (number, f'web:{number}'):
                self.assertRaises(errors.EngineBadRequest, identity.resolve,
                                  user, _PASSWD, _GROUP)

    def test_a_volume_without_accounts(self) -> None:
        self.assertEqual(identity.Identity(0, 0, (), '/'),
                         identity.resolve('', '', ''))
