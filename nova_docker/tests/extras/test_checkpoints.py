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

"""Suspended servers whose processes are on disk, and go on from there."""

from __future__ import annotations

import socket

from nova_docker.tests import browser
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import services

#: Holds some memory, and at each line that it reads counts on, and tells the
#: next caller on port 80 of both. While nobody calls it has no TCP socket,
#: which CRIU can't write on every kernel.
_COUNTS = ('m=$(head -c 4000000 /dev/zero | tr "\\\\0" m); i=0; echo ready; '
           'while read -r line; do i=$((i+1)); '
           'echo "$i ${#m}" | nc -l -p 80; echo "told $i."; done')
_ATTEMPT = 3


class CheckpointTestCase(base.CloudTestCase):
    """An operator whose engine has CRIU wants the memory of the suspended."""

    alone = True

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not services.is_ours('docker'):
            raise cls.skipTest("the machine's own engine has no CRIU of ours")
        cls.addClassCleanup(services.set_options, {}, 'nova/compute.conf')
        services.set_options({'docker': {'suspend_method': 'checkpoint'}},
                             'nova/compute.conf')

    def setUp(self) -> None:
        super().setUp()
        self.told = 0
        self.server = self.make.server(metadata={
            'docker:command': f"sh -c '{_COUNTS}'"}, wait=('ACTIVE',))
        self.address = self.make.floating_ip(self.server)
        self.server.wait_for_console('ready')
        self.assert_counts_on()

    def assert_counts_on(self) -> None:
        """The same process is there, with all that it knew."""
        self.told += 1
        viewer = browser.Browser(clouds.openstack_command(
            'console', 'url', 'show', '--serial', '-f', 'value', '-c', 'url',
            self.server.id).strip())
        self.addCleanup(viewer.leaves)
        viewer.types(b'\n')
        self.assertEqual(f'{self.told} 4000000\n', clouds.wait_until(
            self.call, 'the server tells what it knows'))
        self.server.wait_for_console(f'told {self.told}.')
        viewer.leaves()

    def call(self) -> str:
        """Return what the server says to a caller; nothing if none hears."""
        try:
            with (socket.create_connection((self.address, 80), _ATTEMPT)
                  as line, line.makefile() as words):
                return words.readline()
        except OSError:
            return ''

    def suspend(self) -> None:
        self.server.suspend()
        self.assert_on_disk()

    def assert_on_disk(self) -> None:
        """No process is left, and so none of their memory."""
        self.server.wait_for('SUSPENDED')
        state = host.workload(self.server.id)['State']
        self.assertEqual((False, False, 0), (
            state['Running'], state['Paused'], state['Pid']))

    def test_suspended_and_resumed(self) -> None:
        for _round in range(2):
            self.suspend()
            self.server.resume()
            self.assert_counts_on()

    def test_a_crash_of_nova_compute_in_between(self) -> None:
        self.suspend()
        services.kill('nova-compute')
        services.up()
        self.assert_on_disk()
        self.server.resume()
        self.assert_counts_on()

    def test_a_host_boot_in_between(self) -> None:
        """Its network is made anew."""
        self.suspend()
        services.kill('nova-compute')
        services.kill('docker')
        services.up()
        self.assert_on_disk()
        self.server.resume()
        self.assert_counts_on()

    def test_started_anew(self) -> None:
        """A hard reboot drops what was written."""
        self.suspend()
        self.server.reboot('HARD')
        self.told = 0
        clouds.wait_until(
            lambda: self.server.console().count('ready') == 2,
            'it begins again')
        self.assert_counts_on()

    def test_deleted(self) -> None:
        self.suspend()
        self.make.delete(self.server)
