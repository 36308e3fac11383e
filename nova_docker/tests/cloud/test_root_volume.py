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

"""Servers whose root disk is a volume, and what becomes of their data."""

from __future__ import annotations

import json
from typing import Any

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import volumes

_GIB = 1 << 20  # in the KiB of df


class RootVolumeTestCase(base.CloudTestCase):
    def boot(self, source: str, uuid: str, **disk: Any) -> servers.Server:
        """Boot a server whose root disk is a volume.

        :param source: the kind of what it is made of, or ``volume``
        :param disk: more of it, as the compute API has it
        """
        return self.make.server(imageRef='', block_device_mapping_v2=[{
            'boot_index': 0, 'source_type': source, 'uuid': uuid,
            'destination_type': 'volume', **disk}])

    def from_image(self) -> volumes.Volume:
        """Return a volume that Cinder has made from an image."""
        return self.make.volume(image_id=clouds.image_id('ssh'))

    def test_its_data_outlives_the_server(self) -> None:
        volume = self.from_image()
        first = self.boot('volume', volume.id)
        guest = self.make.login(first)
        guest.run('mkdir /mine; echo precious > /mine/note')
        first.reboot('SOFT')
        self.assertEqual('precious', guest.run('cat /mine/note'))
        first.stop()
        first.start()
        self.assertEqual('precious', guest.run('cat /mine/note'))
        self.make.delete(first)
        volume.wait_for('available')
        volume.wait_until_disconnected()
        second = self.boot('volume', volume.id)
        self.assertEqual('precious', self.make.login(second).run(
            'cat /mine/note'))
        self.make.delete(second)
        volume.wait_for('available')

    def test_its_size_is_the_volumes(self) -> None:
        """Nova makes the volume, and removes it with the server."""
        server = self.boot('image', clouds.image_id('ssh'), volume_size=1,
                           delete_on_termination=True)
        [volume] = (volumes.Volume(each) for each in server.volumes())
        guest = self.make.login(server)
        size = "df -k / | awk 'END { print $2 }'"
        self.assertLess(int(guest.run(size)), _GIB)
        volume.extend(2)
        clouds.wait_until(lambda: int(guest.run(size)) > 1.5 * _GIB,
                          'its root disk has grown')
        self.make.delete(server)
        clouds.wait_until(lambda: not volume.traces(),
                          'the volume is gone as well')

    def test_from_a_snapshot(self) -> None:
        volume = self.from_image()
        first = self.boot('volume', volume.id)
        self.make.login(first).run('echo precious > /note; sync')
        first.stop()
        self.make.delete(first)
        volume.wait_for('available')
        copy = self.make.volume(
            snapshot_id=self.make.volume_snapshot(volume))
        second = self.boot('volume', copy.id)
        self.assertEqual('precious', self.make.login(second).run('cat /note'))
        self.make.delete(second)
        copy.wait_for('available')

    def test_an_image_of_it(self) -> None:
        """It stands still while Cinder takes the snapshot, if it asks so."""
        image = clouds.connection('demo').image
        quiet = self.make.image(
            image.download_image(clouds.image_id('ssh')).content,
            os_require_quiesce='yes')
        server = self.boot('image', quiet, volume_size=1,
                           delete_on_termination=True)
        guest = self.make.login(server)
        guest.run('echo precious > /note')
        saved = self.make.snapshot(server)
        [disk] = json.loads(
            image.get_image(saved).properties['block_device_mapping'])
        self.make.owned_volume_snapshot(disk['snapshot_id'])
        self.assertEqual('precious', guest.run('cat /note'))
        copy = self.make.server(saved)
        self.assertEqual('precious', self.make.login(copy).run('cat /note'))

    def test_shelved(self) -> None:
        volume = self.from_image()
        server = self.boot('volume', volume.id)
        guest = self.make.login(server)
        guest.run('echo precious > /note')
        server.shelve()
        volume.wait_until_disconnected()
        server.unshelve()
        self.assertEqual('precious', guest.run('cat /note'))
        self.make.delete(server)
        volume.wait_for('available')

    def test_a_volume_with_other_files(self) -> None:
        volume = self.make.volume()
        other = self.make.server('ssh')
        other.attach(volume)
        self.make.login(other).run('touch /volumes/vdb/mine')
        other.detach(volume)
        clouds.connection('demo').block_storage.set_volume_bootable_status(
            volume.id, True)
        server = self.make.server(
            wait=('ERROR',), imageRef='', block_device_mapping_v2=[{
                'boot_index': 0, 'source_type': 'volume', 'uuid': volume.id,
                'destination_type': 'volume'}])
        self.assertIn('no root file system', server.fault())
