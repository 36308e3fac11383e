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

"""Files given with a server, in real images."""

from __future__ import annotations

from nova import objects
from nova_docker import errors
from nova_docker.instances import injection
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

_STAT = 'stat -c "%n %a %u %g"'


class InjectionTestCase(base.EngineTestCase):
    def inject(self, instance: objects.Instance,
               given: dict[str, bytes]) -> None:
        injection.Injection(self.engine).write(instance, list(given.items()))

    def prints(self, script: str, given: dict[str, bytes],
               *more: base.Entry) -> str:
        """Return what a script says that finds these files at its start."""
        instance = self.make_instance(
            metadata={'docker:command': f"/bin/sh -c '{script}'"})
        name = self.create(instance, self.make_image(*more))
        self.inject(instance, given)
        self.engine.start(name)
        self.wait_for_end(instance)
        return self.log(instance).strip()

    def refused(self, given: dict[str, bytes], words: str,
                *more: base.Entry, **fields: object) -> None:
        instance = self.make_instance(**fields)
        name = self.create(instance, self.make_image(*more))
        error = self.assertRaises(errors.BadInjectedFile, self.inject,
                                  instance, given)
        [path] = given
        self.assertIn(f"File '{path}' can't be put into the server",
                      str(error))
        self.assertIn(words, str(error))
        # The image is as it was.
        self.engine.stat(name, '/bin/sh')
        self.engine.stat(name, '/etc/passwd')

    def test_a_file(self) -> None:
        self.assertEqual('/etc/new 644 0 0\nhello', self.prints(
            f'{_STAT} /etc/new; cat /etc/new', {'/etc/new': b'hello'}))

    def test_bytes_of_any_kind(self) -> None:
        self.assertEqual('4', self.prints(
            'tail -c 4 /blob | wc -c', {'/blob': b'\0\xff\n\x80'}))

    def test_several(self) -> None:
        self.assertEqual('onetwo', self.prints(
            'cat /srv/a/1 /srv/a/2', {'/srv/a/1': b'one',
                                      '/srv/a/2': b'two'}))

    def test_no_slash_before_it(self) -> None:
        self.assertEqual('x', self.prints('cat /etc/x', {'etc/x': b'x'}))

    def test_the_directories_that_it_lacks(self) -> None:
        self.assertEqual(
            '/a 755 0 0\n/a/b 755 0 0\n/a/b/c 644 0 0',
            self.prints(f'{_STAT} /a /a/b /a/b/c', {'/a/b/c': b'x'}))

    def test_what_the_image_has_keeps_its_permissions(self) -> None:
        self.assertEqual(
            '/tmp 1777 0 0\n/tmp/own 700 5 0\n/tmp/own/x 600 0 0\nnew',
            self.prints(
                f'{_STAT} /tmp /tmp/own /tmp/own/x; cat /tmp/own/x',
                {'/tmp/own/x': b'new'},
                base.directory('tmp/own', mode=0o700, uid=5),
                base.Entry('tmp/own/x', b'old', mode=0o600)))

    def test_links_of_the_image(self) -> None:
        """They are followed, and stay links."""
        shown = self.prints(
            'cat /lib/real/x /lib/target; ls -l /link /etc/file',
            {'/link/x': b'1', '/etc/file': b'2'},
            base.directory('lib/real'), base.symlink('link', 'lib/real'),
            base.Entry('lib/target', b'0'),
            base.symlink('etc/file', '../lib/target'))
        self.assertTrue(shown.startswith('12'), shown)
        self.assertIn('/link -> lib/real', shown)
        self.assertIn('/etc/file -> ../lib/target', shown)

    def test_nothing_leads_out_of_the_container(self) -> None:
        """Neither dots nor a link, whoever made them."""
        shown = self.prints(
            'cat /etc/one /etc/two', {'/../../etc/one': b'1',
                                      '/out/two': b'2'},
            base.symlink('out', '../../../../../../etc'))
        self.assertEqual('12', shown)

    def test_a_broken_link_is_replaced(self) -> None:
        self.assertEqual('x', self.prints(
            'cat /etc/link', {'/etc/link': b'x'},
            base.symlink('etc/link', 'nowhere/at/all')))

    def test_a_directory_is_not_replaced(self) -> None:
        for path in ('/etc', '/etc/', '/', '', '/bin/..'):
            self.refused({path: b'x'}, 'is not a file')

    def test_a_file_is_no_directory(self) -> None:
        self.refused({'/etc/passwd/x': b'x'},
                     "the image's /etc/passwd is not a directory")

    def test_a_read_only_root(self) -> None:
        self.refused({'/etc/x': b'x'}, 'read-only', flavor=tests.make_flavor(
            extra_specs={'docker:read_only': 'true'}))

    def test_an_instance_that_is_not_there(self) -> None:
        instance = self.make_instance()
        self.assertRaises(errors.BadInjectedFile, self.inject, instance,
                          {names.workload(instance.uuid): b'x'})
