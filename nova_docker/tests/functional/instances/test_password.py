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

"""Passwords in real containers."""

from __future__ import annotations

from nova import exception
from nova_docker.instances import password
from nova_docker.tests.functional import base

#: Takes what comes, and keeps it.
TAKES = base.program('bin/chpasswd', 'cat >/entered')
REFUSES = base.program('bin/chpasswd', 'echo "too simple" >&2; exit 3')


class PasswordTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.password = password.Password(self.engine, self.contents)

    def test_it_is_entered(self) -> None:
        instance = self.run_workload(self.make_image(TAKES))
        self.password.set(instance, 'se cr:et$x')
        _code, entered = self.engine.run(f'nova-{instance.uuid}',
                                         ['cat', '/entered'])
        self.assertEqual(b'root:se cr:et$x\n', entered)

    def test_an_image_without_a_way(self) -> None:
        instance = self.run_workload(self.make_image())
        error = self.assertRaises(exception.SetAdminPasswdNotSupported,
                                  self.password.set, instance, 'secret')
        self.assertIn("no 'chpasswd'", str(error))
        self.assertNotIn('secret', str(error))

    def test_it_is_refused(self) -> None:
        instance = self.run_workload(self.make_image(REFUSES))
        error = self.assertRaises(exception.InstancePasswordSetFailed,
                                  self.password.set, instance, 'secret')
        self.assertIn('ended with 3: too simple', str(error))
