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

"""What a user reads when a server can't be: one sentence, and no remains."""

from __future__ import annotations

from openstack import exceptions

from nova_docker import names
from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host

#: How a qcow2 file begins: the magic and the version.
_QCOW2 = b'QFI\xfb\x00\x00\x00\x03' + bytes(64 * 1024)
_NOISE = b'\x8fnova-docker' * 20_000


class FaultTestCase(base.CloudTestCase):
    """The workbench sees at each end that nothing remains."""

    def _fault(self, *words: str, **server: object) -> str:
        """Boot in vain; the fault must be a sentence with these words.

        :returns: the sentence
        """
        failed = self.make.server(wait=(), **server)  # type: ignore[arg-type]
        fault = failed.fault()
        for word in words:
            self.assertIn(word, fault)
        self.assertNotIn('Traceback', fault)
        self.assertNotIn('Exceeded maximum number of retries', fault)
        self.assertRegex(fault, r'^[A-Z].*\w')
        self.assertEqual([], host.containers(failed.id))
        self.assertEqual([], host.switch_ports(failed.id))
        self.assertEqual({}, host.allocations(failed.id))
        return fault

    def _refused(self, content: bytes, *words: str) -> None:
        image_id = self.make.image(content)
        self._fault(image_id, *words, image=image_id)
        self.assertNotIn(names.image_reference(image_id), host.tags())

    def test_a_disk_image(self) -> None:
        self._refused(_QCOW2, 'QCOW')

    def test_noise(self) -> None:
        self._refused(_NOISE, 'no tar archive')

    def test_an_empty_image(self) -> None:
        self._refused(b'\0', 'no tar archive')

    def test_a_truncated_archive(self) -> None:
        content = archives.busybox()
        self._refused(content[:len(content) // 2], 'ends')

    def test_an_archive_that_lies(self) -> None:
        content = archives.busybox(files={'one': b'1' * 4096})
        self._refused(content.replace(b'1' * 4096, b'2' * 4096), 'layer')

    def test_a_wrong_container_format(self) -> None:
        image_id = self.make.image(archives.busybox(),
                                   container_format='ovf')
        self._fault('ovf', 'docker', image=image_id)

    def test_a_command_that_does_not_exist(self) -> None:
        self._fault('/sbin/nothing', 'does not exist', metadata={
            'docker:command': '/sbin/nothing --at all'})

    def test_a_user_that_does_not_exist(self) -> None:
        self._fault('nosuchuser', metadata={'docker:user': 'nosuchuser'})

    def test_an_unknown_metadata_key(self) -> None:
        self._fault('docker:nosuch', 'docker:command',
                    metadata={'docker:nosuch': '1'})

    def test_a_bad_metadata_value(self) -> None:
        self._fault('docker:tty', metadata={'docker:tty': 'perhaps'})

    def test_a_bad_image_property(self) -> None:
        image_id = self.make.image(archives.busybox(),
                                   docker_stop_signal='SIGNOSUCH')
        self._fault('docker_stop_signal', 'SIGNOSUCH', image=image_id)

    def test_an_unknown_runtime(self) -> None:
        flavor = self.make.flavor({'docker:runtime': 'nope'})
        self._fault('docker:runtime', 'nope', flavor=flavor)

    def test_the_api_refuses_a_bad_flavor_key(self) -> None:
        for key, value, named in (
                ('docker:pids_limit', 'abc', 'abc'),
                ('docker:ulimit_nofile', 'many', 'many'),
                ('docker:nosuch', '1', 'docker:nosuch')):
            with self.subTest(key=key), self.assertRaisesRegex(
                    exceptions.BadRequestException, named):
                self.make.flavor({key: value})

    def test_it_works_after_the_fault_is_mended(self) -> None:
        """The next server is not the worse for the one that failed."""
        self._fault('docker:tty', metadata={'docker:tty': 'perhaps'})
        self.make.server(wait=('ACTIVE',), metadata={'docker:tty': 'no',
                         'docker:command': 'sleep 3600'})

    def test_the_command_line_shows_it(self) -> None:
        failed = self.make.server(
            wait=('ERROR',), metadata={'docker:command': '/sbin/nothing'})
        shown = clouds.openstack_command(
            'server', 'show', failed.id, '-f', 'json')
        self.assertEqual('ERROR', shown['status'])
        self.assertIn("'/sbin/nothing'", shown['fault']['message'])
