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

"""A crash of nova-compute or of the engine loses no server."""

from __future__ import annotations

import json
from typing import ClassVar

from nova_docker import names
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services

#: A service that takes its time to end.
_SLOW = ('trap "sleep 6; echo bye; exit 0" TERM; echo ready; '
         'while :; do sleep 1; done')

_FILES = 'nova/nova.conf', 'nova/compute.conf'


class OperatorTestCase(base.CloudTestCase):
    """Two servers with data, one of them stopped."""

    alone = True

    running: ClassVar[servers.Server]
    stopped: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.running = cls.shared.server('ssh', wait=())
        cls.stopped = cls.shared.server()
        cls.stopped.stop()
        cls.running.wait_for('ACTIVE')
        cls.guest = cls.shared.login(cls.running)
        cls.guest.run('echo precious > /root/data; sync')

    def setUp(self) -> None:
        super().setUp()
        self._dead = False

    def _kill(self, service: str) -> None:
        """Kill a service, which comes back before anything is deleted."""
        self.addCleanup(self._revive)
        self._dead = True
        services.kill(service)

    def _revive(self) -> None:
        if self._dead:
            services.up()
            self._dead = False

    def _assert_all_work(self) -> None:
        """Both servers are as they were, and take orders."""
        self.stopped.wait_for('SHUTOFF')
        self.stopped.start()
        self.stopped.stop()
        self.running.wait_for('ACTIVE')
        self.running.reboot('HARD')
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self.make.server(wait=('ACTIVE',))


class ComputeTestCase(OperatorTestCase):
    def test_killed_while_servers_run(self) -> None:
        before = host.workload(self.running.id)['State']
        self._kill('nova-compute')
        self.assertEqual('precious', self.guest.run('cat /root/data'))
        self._revive()
        self.assertEqual('precious', self.guest.run('cat /root/data'))
        self.assertEqual(before, host.workload(self.running.id)['State'])
        self._assert_all_work()

    def test_killed_while_one_is_suspended(self) -> None:
        self.running.suspend()
        self._kill('nova-compute')
        self._revive()
        self.running.wait_for('SUSPENDED')
        self.assertTrue(host.workload(self.running.id)['State']['Paused'])
        self.running.resume()
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self._assert_all_work()

    def test_killed_while_one_boots(self) -> None:
        """Nova's rule for what was half built is ERROR; it can be deleted."""
        half = self.make.server(wait=())
        clouds.wait_until(lambda: host.containers(half.id), 'it has begun')
        self._kill('nova-compute')
        self._revive()
        half.wait_for('ACTIVE', 'ERROR')
        self.make.delete(half)
        self._assert_all_work()

    def test_killed_while_it_makes_an_image(self) -> None:
        self.guest.run('dd if=/dev/urandom of=/root/large bs=1M count=150')
        image_id = self.make.begin_snapshot(self.running)
        reference = names.snapshot_reference(image_id)
        clouds.wait_until(lambda: reference in host.tags(), 'it has begun')
        self._kill('nova-compute')
        self._revive()
        self.running.wait_for('ACTIVE')
        self.assertNotIn(reference, host.tags())
        self.guest.run('rm /root/large')
        self._assert_all_work()

    def test_killed_while_it_stops_and_deletes(self) -> None:
        slow = self.make.server(metadata={
            'docker:command': f"sh -c '{_SLOW}'"})
        slow.wait_for_console('ready\n')
        doomed = self.make.server()
        compute = clouds.connection('demo').compute
        compute.stop_server(slow.id)
        compute.delete_server(doomed.id)
        self._kill('nova-compute')
        self._revive()
        slow.wait_for('SHUTOFF')
        self.make.delete(doomed)
        self._assert_all_work()

    def test_killed_while_it_attaches(self) -> None:
        """What is connected is let go of, and its data is there."""
        volume, half = self.make.volume(), self.make.server()
        self.running.attach(volume)
        self.guest.run('echo precious > /volumes/vdb/data')
        self.running.detach(volume)
        record = (clouds.home() / 'data/nova-compute/connections' / half.id
                  / f'{volume.id}.json')

        def is_connected() -> bool:
            try:
                return bool(json.loads(record.read_text())['found'])
            except FileNotFoundError:
                return False

        # It can neither look at the volume nor mount it, and waits.
        with services.halted_daemon('nova-compute',
                                    'nova_docker.privsep.mount_pctxt'):
            half.attach(volume, wait='')
            clouds.wait_until(is_connected, 'it has begun')
            self._kill('nova-compute')
        self._revive()
        clouds.wait_until(lambda: not record.parent.exists(),
                          'nothing of it is left')
        # Nova does not take back what it had begun. With its server it ends.
        self.make.delete(half)
        volume.wait_for('available')
        volume.wait_until_disconnected()
        self.running.attach(volume)
        self.assertEqual('precious', self.guest.run('cat /volumes/vdb/data'))
        self.running.detach(volume)
        self._assert_all_work()

    def test_a_server_that_ended_meanwhile(self) -> None:
        brief = self.make.server(wait=('ACTIVE',))
        self._kill('nova-compute')
        host.engine().api.kill(names.workload(brief.id))
        clouds.wait_until(
            lambda: not host.workload(brief.id)['State']['Running'],
            'the command has ended')
        self._revive()
        brief.wait_for('SHUTOFF')


class EngineTestCase(OperatorTestCase):
    def setUp(self) -> None:
        super().setUp()
        if not services.is_ours('docker'):
            self.skipTest("the machine's own engine is not ours to kill")

    def test_killed(self) -> None:
        self._kill('docker')
        clouds.wait_until(
            lambda: services.compute_service().status == 'disabled',
            'the host is out of scheduling')
        self.assertIn('Docker Engine',
                      services.compute_service().disabled_reason)
        # Nova writes what Placement has to know after the status.
        clouds.wait_until(
            lambda: 'COMPUTE_STATUS_DISABLED' in services.host_traits(),
            'Placement offers the host to nobody')
        self._revive()
        self._assert_all_start_again()

    def test_host_boot(self) -> None:
        """Unless an operator asks for more, no server starts by itself."""
        self._kill('nova-compute')
        self._kill('docker')
        self._revive()
        self._assert_all_start_again()

    def test_killed_while_one_boots(self) -> None:
        """Nobody can clean up without the engine, but when it is back."""
        # Or the boot might end first: it waits until Neutron has its port.
        with services.halted('neutron-ovs'):
            half = self.make.server(wait=())
            clouds.wait_until(lambda: host.containers(half.id),
                              'it has begun')
            self._kill('docker')
        self.assertIn('Docker Engine', half.fault())
        self._revive()
        self.make.delete(half)
        self._assert_all_start_again()

    def _assert_all_start_again(self) -> None:
        """A crash of the engine is a power cut to its containers."""
        self.running.wait_for('SHUTOFF')
        clouds.wait_until(
            lambda: services.compute_service().status == 'enabled',
            'the host is back in scheduling')
        clouds.wait_until(
            lambda: 'COMPUTE_STATUS_DISABLED' not in services.host_traits(),
            'Placement offers the host again')
        self.running.start()
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self._assert_all_work()


class OptionsTestCase(OperatorTestCase):
    """What an operator has to ask for: host boot, and actions with delay."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(services.options({
            'DEFAULT': {'resume_guests_state_on_host_boot': 'true',
                        'reclaim_instance_interval': '86400',
                        'shelved_offload_time': '-1'},
        }, *_FILES))
        _await_host()

    def test_host_boot(self) -> None:
        """What ran before runs again, with its network; the rest does not."""
        if not services.is_ours('docker'):
            self.skipTest("the machine's own engine is not ours to kill")
        before = host.workload(self.running.id)['State']['StartedAt']
        self._kill('nova-compute')
        self._kill('docker')
        self._revive()
        clouds.wait_until(
            lambda: host.workload(self.running.id)['State']['StartedAt']
            != before, 'it is started again')
        self.running.wait_for('ACTIVE')
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        self.stopped.wait_for('SHUTOFF')
        self.assertFalse(host.workload(self.stopped.id)['State']['Running'])

    def test_deleted_and_restored(self) -> None:
        self.running.soft_delete()
        self.assertFalse(self.guest.is_reachable())
        self.assertFalse(host.workload(self.running.id)['State']['Running'])
        self.running.restore()
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))

    def test_deleted_before_its_time(self) -> None:
        doomed = self.shared.server()
        traces = host.Traces.of(doomed.id)
        doomed.soft_delete()
        self.assertNotEqual([], traces.left())
        clouds.connection('demo').compute.delete_server(doomed.id, force=True)
        clouds.wait_until(lambda: not traces.left(), 'nothing is left')

    def test_shelved_and_offloaded(self) -> None:
        """First it stays on its host, stopped; then nothing of it does."""
        shelved = self.running
        shelved.shelve_here()
        self.assertFalse(host.workload(shelved.id)['State']['Running'])
        shelved.unshelve()
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))
        shelved.shelve_here()
        shelved.offload()
        self.assertEqual([], host.containers(shelved.id))
        shelved.unshelve()
        self.assertEqual('precious', self.guest.again().run('cat /root/data'))


class ReclaimTestCase(base.CloudTestCase):
    alone = True

    def test_deleted_and_not_restored_in_time(self) -> None:
        doomed = self.make.server()
        traces = host.Traces.of(doomed.id)
        self.assertTrue(traces.containers)
        self.enterContext(services.options(
            {'DEFAULT': {'reclaim_instance_interval': '1'}}, *_FILES))
        _await_host()
        clouds.connection('demo').compute.delete_server(doomed.id)
        # Nova looks for such servers once a minute.
        clouds.wait_until(lambda: not traces.left(), 'nothing is left',
                          2 * clouds.PATIENCE)
        [action] = doomed.actions('delete')
        self.assertEqual(['compute_soft_delete_instance'],
                         [each['event'] for each in doomed.events(action)])


def _await_host() -> None:
    """Nova deletes a server of a host that is down at once, and wholly."""
    clouds.wait_until(lambda: services.compute_service().state == 'up',
                      'the host is up')
