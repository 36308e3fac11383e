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

"""Servers whose compute host is lost, and the host that comes back."""

from __future__ import annotations

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services
from nova_docker.tests.hosts import places
from nova_docker.tests.hosts import test_migration


class EvacuationTestCase(test_migration.MigrationTestCase):
    """Servers on the second host, which dies."""

    def setUp(self) -> None:
        super().setUp()
        self.is_dead = False

    def kill_host(self) -> None:
        """As a power cut does; the operator tells Nova."""
        self.is_dead = True
        # Before the servers are deleted, which needs the host.
        self.addCleanup(self.revive)
        places.cut_power()
        places.set_service(places.SECOND, forced_down=True)

    def revive(self) -> None:
        if self.is_dead:
            services.up('second-host')
            places.set_service(places.SECOND, forced_down=False)
            self.is_dead = False

    def evacuate(self, server: servers.Server) -> None:
        places.act(server, 'evacuate', '2.29', host=places.FIRST.name)
        clouds.wait_until(lambda: places.of(server) == places.FIRST,
                          f'{server.id} is on the first host')
        server.wait_for('ACTIVE')

    def test_an_image(self) -> None:
        """Its root disk is lost, as Nova has it; its volume is not."""
        with places.only(places.SECOND):
            server = self.boot()
        guest = self.make.login(server)
        volume = self.make.volume()
        server.attach(volume)
        guest.run('echo lost > /root/note; '
                  'echo kept > /volumes/vdb/note; sync')
        self.kill_host()
        self.evacuate(server)
        guest.again()
        self.assertEqual('kept', guest.run('cat /volumes/vdb/note'))
        self.assertEqual('', guest.run('cat /root/note 2>/dev/null || true'))
        self.assert_network_works(guest)
        guest.run('echo more >> /volumes/vdb/note; sync')
        self.revive()
        places.wait_until_clear(places.SECOND, server.id)
        self.assertEqual('kept\nmore', guest.run('cat /volumes/vdb/note'))
        server.reboot('HARD')
        self.assertEqual('kept\nmore',
                         guest.again().run('cat /volumes/vdb/note'))
        self.make.delete(server)
        volume.wait_for('available')

    def test_a_root_volume(self) -> None:
        root = self.make.volume(image_id=clouds.image_id('ssh'))
        with places.only(places.SECOND):
            server = self.boot(imageRef='', block_device_mapping_v2=[{
                'boot_index': 0, 'source_type': 'volume', 'uuid': root.id,
                'destination_type': 'volume'}])
        guest = self.make.login(server)
        guest.run('echo precious > /root/note; sync')
        self.kill_host()
        self.evacuate(server)
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        self.revive()
        places.wait_until_clear(places.SECOND, server.id)
        server.reboot('HARD')
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        self.make.delete(server)
        root.wait_for('available')
