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

"""An image of a server: whole, bootable, and without a trace if it fails."""

from __future__ import annotations


from openstack import exceptions

from nova_docker import names
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host


class SnapshotTestCase(base.ServerTestCase):
    """One server, which every test leaves as it was: running."""

    preparation = 'echo precious > /root/data'

    def _assert_whole(self, image_id: str) -> None:
        """A server made of the image prints the data; the engine is clean."""
        self.assertNotIn(names.snapshot_reference(image_id), host.tags())
        image = clouds.connection('demo').image.get_image(image_id)
        self.assertEqual(('docker', 'raw', 'active'), (
            image.container_format, image.disk_format, image.status))
        self.assertEqual('precious', self.make.prints(
            'cat /root/data', image=image_id))

    def test_running(self) -> None:
        """The server goes on: not even a login is cut."""
        before = host.workload(self.server.id)['State']
        ticking = self.guest.run(
            '(while :; do date >> /root/ticks; sleep 0.2; done) '
            '>/dev/null 2>&1 & echo $!')
        self.addCleanup(self.guest.run, f'kill {ticking}')
        image_id = self.make.snapshot(self.server)
        self.assertEqual('ACTIVE', self.server.wait_for('ACTIVE').status)
        self.assertTrue(self.guest.is_connected())
        self.guest.run(f'kill -0 {ticking}')
        self.assertEqual(before, host.workload(self.server.id)['State'])
        self._assert_whole(image_id)

    def test_task_states(self) -> None:
        """What Nova's API shows meanwhile is in its usual order."""
        seen: list[str | None] = []
        image_id = self.make.begin_snapshot(self.server)

        def ended() -> bool:
            state = self.server.show().task_state
            if state not in seen[-1:]:
                seen.append(state)
            return state is None
        clouds.wait_until(ended, 'the snapshot is over')
        order = ['image_snapshot_pending', 'image_snapshot',
                 'image_pending_upload', 'image_uploading', None]
        self.assertEqual(seen, [each for each in order if each in seen])
        self.assertEqual('active', clouds.connection(
            'demo').image.get_image(image_id).status)
        self.assertEqual('Success', self.server.result('createImage'))

    def test_paused(self) -> None:
        self.server.pause()
        self.addCleanup(self.server.unpause)
        image_id = self.make.snapshot(self.server)
        self.server.wait_for('PAUSED')
        self.assertTrue(host.workload(self.server.id)['State']['Paused'])
        self._assert_whole(image_id)

    def test_stopped(self) -> None:
        self.server.stop()
        self.addCleanup(self.server.start)
        image_id = self.make.snapshot(self.server)
        self.server.wait_for('SHUTOFF')
        self._assert_whole(image_id)

    def test_boots_as_the_original_did(self) -> None:
        """Command, SSH server and key: the image is a server like this."""
        copy = self.make.server(self.make.snapshot(self.server))
        login = self.make.login(copy)
        self.assertEqual('precious', login.run('cat /root/data'))
        self.assertEqual(copy.show().name, login.run('hostname'))
        self.assertEqual('1', login.run(
            'grep -c . /root/.ssh/authorized_keys'))

    def test_failure_leaves_no_image(self) -> None:
        """The image goes away in the middle of its upload."""
        self.guest.run('dd if=/dev/urandom of=/root/large bs=1M count=200')
        self.addCleanup(self.guest.run, 'rm /root/large')
        image_id = self.make.begin_snapshot(self.server)
        clouds.wait_until(
            lambda: self.server.show().task_state == 'image_uploading',
            'the upload has begun')
        image = clouds.connection('demo').image
        image.delete_image(image_id)
        self.server.wait_for('ACTIVE')
        self.assertRaises(exceptions.NotFoundException,
                          image.get_image, image_id)
        clouds.wait_until(
            lambda: names.snapshot_reference(image_id) not in host.tags(),
            'the engine has no half image')
        self.assertEqual('precious', self.guest.run('cat /root/data'))
