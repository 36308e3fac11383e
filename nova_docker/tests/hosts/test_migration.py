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

"""A server that migrates from one compute host to the other."""

from __future__ import annotations

from typing import Any

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import servers
from nova_docker.tests.extras import signing
from nova_docker.tests.hosts import places

_INTERFACE = ('ip -o -4 address show dev eth0 | cut -d " " -f 2-; '
              'cat /sys/class/net/eth0/address')


class MigrationTestCase(base.CloudTestCase):
    """Servers that tests migrate, and leave no trace of on either host."""

    alone = True

    def boot(self, **more: Any) -> servers.Server:
        server = self.make.server(**{'image': 'ssh', **more})
        for place in (places.FIRST, places.SECOND):
            # After the server is deleted.
            self.addCleanup(places.wait_until_clear, place, server.id)
        self.addCleanup(self.make.delete, server)
        return server

    def assert_no_image_is_left(self, server: servers.Server) -> None:
        """What the root disk went through is no image any more."""
        images = clouds.connection('admin').image.images()
        self.assertEqual([], [each.name for each in images
                              if server.id in (each.name or '')])

    def assert_network_works(self, guest: guests.Guest) -> None:
        """The server reaches others, and its metadata."""
        self.assertIn('instance-id', guest.run(
            'curl -s --max-time 60 --retry 5 '
            'http://169.254.169.254/latest/meta-data/'))


class RootDiskTestCase(MigrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.boot(config_drive=True, metadata={'a': 'b'})
        self.guest = self.make.login(self.server)
        self.guest.run('echo precious > /root/note; rm /etc/motd; '
                       'ln -s note /root/link; chown 1000:7 /root/note')
        self.volume = self.make.volume()
        self.server.attach(self.volume)
        self.addCleanup(self.let_go)
        self.guest.run('echo kept > /volumes/vdb/note')
        self.interface = self.guest.run(_INTERFACE)
        self.origin = places.of(self.server)

    def let_go(self) -> None:
        self.make.delete(self.server)
        self.volume.wait_for('available')

    def assert_whole(self) -> None:
        guest = self.guest.again()
        self.assertEqual('precious', guest.run('cat /root/link'))
        self.assertEqual('1000 7', guest.run('stat -c "%u %g" /root/note'))
        self.assertEqual('', guest.run('ls /etc/motd 2>/dev/null || true'))
        self.assertEqual('kept', guest.run('cat /volumes/vdb/note'))
        self.assertEqual(self.interface, guest.run(_INTERFACE))
        self.assertIn('"a": "b"', guest.run(
            'cat /config-drive/openstack/latest/meta_data.json'))
        self.assert_network_works(guest)

    def leave_image(self) -> None:
        """Have what a migration leaves whose nova-compute was killed."""
        name = f'nova-docker migration of {self.server.id}: root disk'
        clouds.connection('admin').image.post(
            '/images', json={'name': name, 'visibility': 'private'})

    def test_confirmed(self) -> None:
        self.leave_image()
        there = places.migrate(self.server)
        self.assertEqual(there, places.of(self.server))
        self.assert_whole()
        self.assert_no_image_is_left(self.server)
        self.server.confirm()
        places.wait_until_clear(self.origin, self.server.id)
        self.assert_whole()
        self.server.reboot('HARD')
        self.assert_whole()

    def test_reverted(self) -> None:
        there = places.migrate(self.server)
        guest = self.guest.again()
        guest.run('echo lost > /root/note; echo new > /volumes/vdb/more')
        self.server.revert()
        self.assertEqual(self.origin, places.of(self.server))
        places.wait_until_clear(there, self.server.id)
        self.assert_whole()
        self.assertEqual('new', self.guest.run('cat /volumes/vdb/more'))
        self.server.reboot('HARD')
        self.assert_whole()

    def test_there_and_back(self) -> None:
        """As often as one likes."""
        for _ in range(2):
            places.migrate(self.server)
            self.server.confirm()
        self.assertEqual(self.origin, places.of(self.server))
        self.assert_whole()


class ShapeTestCase(MigrationTestCase):
    def test_resized(self) -> None:
        """To another host, where the flavor has more."""
        server = self.boot()
        guest = self.make.login(server)
        guest.run('echo precious > /root/note')
        origin = places.of(server)
        with places.only(places.other(origin)):
            server.resize(self.make.flavor({'docker:cap_add': 'NET_ADMIN'},
                                           ram=256))
        there = places.of(server)
        self.assertEqual(places.other(origin), there)
        server.confirm()
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        limits = there.inspect(server)['HostConfig']
        self.assertEqual(256 << 20, limits['Memory'])
        self.assertIn('NET_ADMIN', limits['CapAdd'])
        places.wait_until_clear(origin, server.id)

    def test_stopped(self) -> None:
        server = self.boot()
        guest = self.make.login(server)
        guest.run('echo precious > /root/note')
        server.stop()
        there = places.migrate(server)
        server.confirm()
        server.wait_for('SHUTOFF')
        self.assertFalse(there.inspect(server)['State']['Running'])
        server.start()
        self.assertEqual('precious', guest.again().run('cat /root/note'))

    def test_root_volume(self) -> None:
        volume = self.make.volume(image_id=clouds.image_id('ssh'))
        server = self.boot(imageRef='', block_device_mapping_v2=[{
            'boot_index': 0, 'source_type': 'volume', 'uuid': volume.id,
            'destination_type': 'volume'}])
        guest = self.make.login(server)
        guest.run('echo precious > /root/note')
        origin = places.of(server)
        there = places.migrate(server)
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        guest.run('echo more >> /root/note')
        server.revert()
        places.wait_until_clear(there, server.id)
        self.assertEqual('precious\nmore',
                         guest.again().run('cat /root/note'))
        places.migrate(server)
        server.confirm()
        places.wait_until_clear(origin, server.id)
        self.assertEqual('precious\nmore',
                         guest.again().run('cat /root/note'))
        self.make.delete(server)
        volume.wait_for('available')

    def test_ephemeral_disk(self) -> None:
        """It goes along, and the source keeps what it had."""
        server = self.boot(flavor=self.make.flavor({}, ephemeral=1))
        guest = self.make.login(server)
        file = '/volumes/ephemeral0/note'
        guest.run(f'echo precious > {file}; truncate -s 300M {file}.sparse')
        origin = places.of(server)
        there = places.migrate(server)
        self.assert_no_image_is_left(server)
        self.assertEqual('precious', guest.again().run(f'cat {file}'))
        guest.run(f'echo lost > {file}')
        server.revert()
        places.wait_until_clear(there, server.id)
        self.assertEqual('precious', guest.again().run(f'cat {file}'))
        places.migrate(server)
        server.confirm()
        places.wait_until_clear(origin, server.id)
        server.reboot('HARD')
        self.assertEqual('precious', guest.again().run(f'cat {file}'))
        self.assertEqual('314572800', guest.run(
            f'stat -c %s {file}.sparse'))
        self.assertIn(' 97', guest.run(
            'df -m /volumes/ephemeral0 | tail -n 1'))

    def test_unshelved_to_a_host(self) -> None:
        server = self.boot()
        guest = self.make.login(server)
        guest.run('echo precious > /root/note')
        origin = places.of(server)
        server.shelve()
        there = places.other(origin)
        places.act(server, 'unshelve', '2.91', host=there.name)
        server.wait_for('ACTIVE')
        self.assertEqual(there, places.of(server))
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        places.wait_until_clear(origin, server.id)

    def test_they_reach_each_other(self) -> None:
        """Two servers of one network, each on a host."""
        first = self.boot()
        with places.only(places.other(places.of(first))):
            second = self.boot()
        self.assertNotEqual(places.of(first), places.of(second))
        [address] = second.addresses()
        self.make.login(first).run(f'ping -c 3 -W 10 {address}')

    def test_a_zone(self) -> None:
        zone = self.make.zone(places.SECOND.name)
        self.assertEqual(places.SECOND, places.of(
            self.boot(availability_zone=zone)))


class TrustTestCase(MigrationTestCase):
    """Where only signed images boot, and nobody signs what migrates."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(signing.required())

    def test_trusted_certificates(self) -> None:
        image = clouds.connection('demo').image
        content = image.download_image(clouds.image_id('ssh')).content
        root = signing.Authority(self.addCleanup)
        signer = signing.Authority(self.addCleanup, root, may_sign=False)
        image_id = self.make.image(content, **signer.signature(content))
        server = self.boot(image=image_id, microversion=signing.TRUST,
                           trusted_image_certificates=[root.id])
        guest = self.make.login(server)
        guest.run('echo precious > /root/note')
        places.migrate(server)
        server.confirm()
        self.assertEqual('precious', guest.again().run('cat /root/note'))
        self.assert_no_image_is_left(server)
        # The certificates go along: the next image is verified as the first.
        places.act(server, 'rebuild', signing.TRUST,
                   imageRef=clouds.image_id('ssh'))
        server.wait_for('ERROR')
        self.assertIn('Required image properties', server.fault())
