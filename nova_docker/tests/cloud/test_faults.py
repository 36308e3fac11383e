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

from collections.abc import Sequence
import dataclasses
from typing import Any

from openstack import exceptions

from nova_docker import names
from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers

#: How a qcow2 file begins: the magic and the version.
_QCOW2 = b'QFI\xfb\x00\x00\x00\x03' + bytes(64 * 1024)
_NOISE = b'\x8fnova-docker' * 20_000


@dataclasses.dataclass(frozen=True)
class Fault:
    """A server that can't be.

    :param server: what is asked for
    :param words: what its fault must say
    """

    server: dict[str, Any]
    words: tuple[str, ...]


class FaultTestCase(base.CloudTestCase):
    """The workbench sees at each end that nothing remains."""

    def _assert_all(self, faults: Sequence[Fault]) -> None:
        """Boot all of them in vain, at the same time."""
        booted = [(self.make.server(wait=(), **fault.server), fault)
                  for fault in faults]
        for server, fault in booted:
            with self.subTest(fault=fault):
                self._assert_one(server, fault.words)

    def _assert_one(self, server: servers.Server,
                    words: Sequence[str]) -> None:
        fault = server.fault()
        for word in words:
            self.assertIn(word, fault)
        # One sentence, and of the cause: no retry could have helped.
        self.assertRegex(fault, r'^[A-Z][^\n]*$')
        self.assertNotIn('retries', fault)
        self.assertEqual([], host.containers(server.id))
        self.assertEqual([], host.switch_ports(server.id))
        # Nova gives these back when the state is set already.
        clouds.wait_until(lambda: not host.allocations(server.id),
                          'Placement has its resources back')

    def _image(self, content: bytes, *words: str, **properties: str) -> Fault:
        image_id = self.make.image(content, **properties)
        return Fault({'image': image_id}, (image_id, *words))

    def test_images_that_are_none(self) -> None:
        good = archives.busybox(files={'one': b'1' * 4096})
        faults = [
            self._image(_QCOW2, 'QCOW'),
            self._image(_NOISE, 'no tar archive'),
            self._image(b'\0', 'no tar archive'),
            self._image(good[:len(good) // 2], 'truncated'),
            self._image(good.replace(b'1' * 4096, b'2' * 4096), 'damaged'),
            self._image(good, 'ovf', 'docker', container_format='ovf'),
        ]
        self._assert_all(faults)
        present = host.tags()
        for fault in faults:
            self.assertNotIn(names.image_reference(fault.words[0]), present)

    def test_keys_that_are_wrong(self) -> None:
        bad_image = self.make.image(archives.busybox(),
                                    docker_stop_signal='SIGNOSUCH')
        # An operator's key has no meaning in a tenant's image.
        greedy_image = self.make.image(archives.busybox(),
                                       docker_cap_add='ALL')
        bad_flavor = self.make.flavor({'docker:runtime': 'nope'})
        self._assert_all([
            Fault({'metadata': {key: value}}, tuple(words))
            for key, value, *words in (
                ('docker:command', '/sbin/nothing --at all',
                 "'/sbin/nothing'", 'does not exist'),
                ('docker:user', 'nosuchuser', 'nosuchuser'),
                ('docker:nosuch', '1', 'docker:nosuch', 'docker:command'),
                ('docker:tty', 'perhaps', 'docker:tty', 'perhaps'))
        ] + [
            Fault({'image': bad_image}, ('docker_stop_signal', 'SIGNOSUCH')),
            Fault({'image': greedy_image}, ('docker_cap_add',
                                            'docker_entrypoint')),
            Fault({'flavor': bad_flavor}, ('docker:runtime', 'nope')),
        ])

    def test_the_api_refuses_a_bad_flavor_key(self) -> None:
        for key, value, named in (
                ('docker:pids_limit', 'abc', 'abc'),
                ('docker:ulimit_nofile', 'many', 'many'),
                ('docker:nosuch', '1', 'docker:nosuch')):
            with self.subTest(key=key), self.assertRaisesRegex(
                    exceptions.BadRequestException, named):
                self.make.flavor({key: value})

    def test_the_command_line_shows_it(self) -> None:
        failed = self.make.server(
            wait=('ERROR',), metadata={'docker:command': '/sbin/nothing'})
        shown = clouds.openstack_command(
            'server', 'show', failed.id, '-f', 'json')
        self.assertEqual('ERROR', shown['status'])
        self.assertIn("'/sbin/nothing'", shown['fault']['message'])

    def test_somebody_removed_the_container(self) -> None:
        """The server says so, and can be built again at its address."""
        lost = self.make.server()
        addresses = lost.addresses()
        lost.stop()
        host.engine().api.remove_container(names.workload(lost.id))
        compute = clouds.connection('demo').compute
        compute.start_server(lost.id)
        self.assertIn('Rebuild the server', lost.explanation('start'))
        lost.wait_for('SHUTOFF')
        compute.reboot_server(lost.id, 'HARD')
        self.assertIn('Rebuild the server', lost.fault())
        lost.rebuild(clouds.image_id('busybox'))
        lost.wait_for('ACTIVE')
        self.assertEqual(addresses, lost.addresses())
