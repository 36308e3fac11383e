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

"""Storage that does not answer any more, behind a cable that was cut."""

from __future__ import annotations

import contextlib

import ddt
from nova.network import model

from nova import exception
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.kernel import base

_PORTS = {'iscsi': 3260, 'nfs': 2049}
#: With these the kernel gives a share up, as it does devices. As a rule it
#: waits for its server for ever.
_SOFT = '-o soft,timeo=50,retrans=1'
#: It waits for its storage in the end, and no signal ends that.
_WRITER = ('(while :; do echo more >> /volumes/vdb/file; sync; sleep 0.1; '
           'done) < /dev/null > /dev/null 2>&1 &')
#: Requests to detach, each of which waits for the storage for a while.
_REQUESTS = 20


@ddt.ddt
class HangingTestCase(base.KernelCase):
    """A server with a volume that hangs, and one that does not."""

    @ddt.data('iscsi', 'nfs')
    def test_it_comes_back(self, kind: str) -> None:
        """Nothing is lost by a request to detach it."""
        self._start(kind)
        # It is still in memory, but for a machine that takes seconds to cut
        # the cable. Later, a file system in the midst of its journal waits.
        self.inside(self.instance, 'sh', '-c', 'echo late > /volumes/vdb/late')
        self.cable.cut()
        self._assert_silent()
        self._assert_other_works()
        self.cable.mend()
        self._detach_at_last()
        self._assert_gone()
        self.attach(self.instance, self.volume)
        self.assertEqual('kept\nlate\n', self.inside(
            self.instance, 'cat', '/volumes/vdb/kept', '/volumes/vdb/late'))

    @ddt.data('iscsi', 'nfs')
    def test_it_is_given_up(self, kind: str) -> None:
        """It is detached by force as soon as the kernel does so."""
        self._start(kind, _SOFT)
        self._write()
        self.cable.cut()
        self._assert_silent()
        self._detach_at_last()
        self._assert_gone()
        self._assert_other_works()

    @ddt.data('iscsi', 'nfs')
    def test_the_server_is_deleted(self, kind: str) -> None:
        self._start(kind)
        self._write()
        self.cable.cut()
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assert_nothing_left(self.instance, self.volume, self.other)

    def _start(self, kind: str, options: str = '') -> None:
        """Have a server with both.

        :param options: for a share
        """
        self.instance = self.start()
        self.volume: volumes.Volume = (
            self.make_nfs(options=options) if kind == 'nfs'
            else self.make_iscsi())
        self.other = self.make_volume()
        self.attach(self.instance, self.volume)
        self.attach(self.instance, self.other, '/dev/vdc')
        self.inside(self.instance, 'sh', '-c',
                    'echo kept > /volumes/vdb/kept; sync')
        self.cable = base.Cable(_PORTS[kind])
        self.addCleanup(self.cable.mend)

    def _write(self) -> None:
        """Let a process write that no signal ends when the storage hangs."""
        self.inside(self.instance, 'sh', '-c', _WRITER)
        file = self.host_path(self.instance) / 'file'
        tests.wait_until(file.exists, 'the process writes')

    def _assert_gone(self) -> None:
        """See that the host has nothing of the volume, and has the other."""
        self.assertEqual([], base.paths())
        self.assertEqual([self.other.id], [
            each.volume for each in self.records.of_instance(
                self.instance.uuid)])
        self.assertFalse(self.host_path(self.instance).exists())

    def _assert_silent(self) -> None:
        """See that it stays attached, and that it is said why."""
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach,
                                  self.instance, self.volume)
        self.assertIn('its storage does not answer', str(error))

    def _detach_at_last(self) -> None:
        for _request in range(_REQUESTS):
            with contextlib.suppress(exception.DeviceDetachFailed):
                self.detach(self.instance, self.volume)
                return
        self.fail('the volume stays attached')

    def _assert_other_works(self) -> None:
        self.inside(self.instance, 'sh', '-c', 'echo new > /volumes/vdc/new')
        self.detach(self.instance, self.other)
        self.attach(self.instance, self.other, '/dev/vdc')
        self.assertEqual('new\n', self.inside(
            self.instance, 'cat', '/volumes/vdc/new'))
