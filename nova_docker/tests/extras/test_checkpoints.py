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

from typing import ClassVar
import unittest

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services

#: Remembers how far it has counted, and some more, and is started by nobody
#: but the test.
_COUNTS = ('m=$(head -c 4000000 /dev/zero | tr "\\0" m); i=0; '
           'while sleep 0.1; do i=$((i+1)); echo $i ${#m} > /count.new; '
           'mv /count.new /count; done')
#: Writes to a volume all the time.
_WRITES = ('echo $$ > /writer; exec > /volumes/vdb/lines; '
           'while sleep 0.1; do echo line; done')


class CheckpointTestCase(base.CloudTestCase):
    """An operator whose engine has CRIU wants the memory of the suspended."""

    alone = True

    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not services.is_ours('docker'):
            raise unittest.SkipTest("the machine's own engine has what it has")
        cls.enterClassContext(services.options(
            {'docker': {'suspend_method': 'checkpoint'}},
            'nova/compute.conf'))
        cls.server = cls.shared.server('ssh')
        cls.guest = cls.shared.login(cls.server)
        cls.begin()

    @classmethod
    def begin(cls) -> None:
        """Let the server count, from 1."""
        cls.guest.run('rm -f /count')
        cls.guest.run(f"setsid sh -c '{_COUNTS}' </dev/null >/dev/null 2>&1 &")
        cls.guest.run('until [ -e /count ]; do sleep 0.1; done')

    def count(self) -> int:
        """Return how far it is, if it remembers the rest."""
        count, rest = self.guest.run('cat /count').split()
        self.assertEqual('4000000', rest)
        return int(count)

    def suspend(self) -> int:
        """Suspend the server; return how far it had counted before."""
        before = self.count()
        self.server.suspend()
        self.assert_on_disk()
        return before

    def assert_on_disk(self) -> None:
        """No process is left, and so none of their memory."""
        self.server.wait_for('SUSPENDED')
        state = host.workload(self.server.id)['State']
        self.assertEqual((False, False, 0), (
            state['Running'], state['Paused'], state['Pid']))
        self.assertFalse(self.guest.is_reachable())

    def assert_goes_on(self, before: int) -> None:
        """It counts, never began again, and no copy of it is left."""
        self.assertEqual([], host.copies(self.server.id))
        after = self.count()
        self.assertGreaterEqual(after, before)
        clouds.wait_until(lambda: self.count() > after, 'it counts on')

    def test_connections_stay(self) -> None:
        for _round in range(2):
            before = self.suspend()
            self.server.resume()
            self.assertTrue(self.guest.is_connected())
            self.assert_goes_on(before)
            self.assertTrue(self.guest.is_connected())
            self.assertTrue(self.guest.is_reachable())

    def test_a_crash_of_nova_compute_in_between(self) -> None:
        before = self.suspend()
        services.kill('nova-compute')
        services.up()
        self.assert_on_disk()
        self.server.resume()
        self.guest.again()
        self.assert_goes_on(before)

    def test_a_host_boot_in_between(self) -> None:
        """Its network is made anew."""
        before = self.suspend()
        services.kill('nova-compute')
        services.kill('docker')
        services.up()
        self.assert_on_disk()
        self.server.resume()
        self.guest.again()
        self.assert_goes_on(before)

    def test_started_anew(self) -> None:
        """A hard reboot drops what was written; CRIU's lock goes with it."""
        self.suspend()
        self.server.reboot('HARD')
        self.guest.again()
        self.begin()
        before = self.suspend()
        self.server.resume()
        self.guest.again()
        self.assert_goes_on(before)

    def test_one_with_a_volume_is_frozen(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run(f"setsid sh -c '{_WRITES}' </dev/null >/dev/null 2>&1 &"
                       'until [ -s /volumes/vdb/lines ]; do sleep 0.1; done')
        before, lines = self.count(), self._lines()
        self.server.suspend()
        self.assertTrue(host.workload(self.server.id)['State']['Paused'])
        self.server.resume()
        self.assert_goes_on(before)
        clouds.wait_until(lambda: self._lines() > lines, 'it writes on')
        self.guest.run('kill $(cat /writer)')
        self.server.detach(volume)

    def _lines(self) -> int:
        return int(self.guest.run('wc -l < /volumes/vdb/lines'))
