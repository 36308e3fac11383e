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

"""Config drive, files given with a server, and tags of its interfaces."""

from __future__ import annotations

import base64
import json
from typing import Any
from typing import ClassVar

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import servers

_USER_DATA = '#!/bin/sh\necho "what the user wants"\n'
_MOTD = b'Good morning.\n'
_DRIVE = '/config-drive/openstack/latest'
_SEED = '/var/lib/cloud/seed/config_drive'
#: The last microversion that takes files.
_PERSONALITY = '2.56'


def _personality(**files: bytes) -> list[dict[str, str]]:
    return [{'path': path, 'contents': base64.b64encode(content).decode()}
            for path, content in files.items()]


class ConfigDriveTestCase(base.CloudTestCase):
    """One server with everything, which no test changes."""

    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.shared.server(
            'ssh', config_drive=True, user_data=_USER_DATA,
            metadata={'purpose': 'testing'}, microversion=_PERSONALITY,
            personality=_personality(**{
                '/etc/motd': _MOTD, '/srv/new/place': b'\0\xff'}),
            networks=[{'uuid': clouds.network_id('private'),
                       'tag': 'front'}])
        cls.guest = cls.shared.login(cls.server)

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.guest.run(f'cat {_DRIVE}/meta_data.json'))
        return found

    def test_the_api_shows_it(self) -> None:
        self.assertTrue(self.server.show().has_config_drive)

    def test_metadata(self) -> None:
        found = self._metadata()
        self.assertEqual(self.server.id, found['uuid'])
        self.assertEqual({'purpose': 'testing'}, found['meta'])
        self.assertEqual(self.server.show().name, found['name'])
        key = clouds.connection('demo').compute.get_keypair('demo')
        self.assertEqual(key.public_key.strip(),
                         found['public_keys']['demo'].strip())
        self.assertTrue(found['admin_pass'])

    def test_network(self) -> None:
        found = json.loads(self.guest.run(f'cat {_DRIVE}/network_data.json'))
        [port] = self.server.ports()
        self.assertEqual([port.mac_address], [
            link['ethernet_mac_address'] for link in found['links']])
        # Where the subnet has DHCP, Nova tells the address elsewhere alone.
        self.assertEqual(['ipv4_dhcp'],
                         [each['type'] for each in found['networks']])
        found = json.loads(self.guest.run(
            'cat /config-drive/ec2/latest/meta-data.json'))
        self.assertEqual(self.server.addresses()[0], found['local-ipv4'])

    def test_user_data(self) -> None:
        self.assertEqual(_USER_DATA.strip(),
                         self.guest.run(f'cat {_DRIVE}/user_data'))

    def test_where_cloud_init_looks(self) -> None:
        self.guest.run(f'cmp {_DRIVE}/meta_data.json '
                       f'{_SEED}/openstack/latest/meta_data.json')

    def test_nobody_writes(self) -> None:
        for path in ('/config-drive', _SEED):
            self.assertIn('Read-only file system', self.guest.run(
                f'touch {path}/new 2>&1 || :'))

    def test_root_alone_reads(self) -> None:
        self.assertEqual('700 root', self.guest.run(
            'stat -c "%a %U" /config-drive'))

    def test_files(self) -> None:
        self.assertEqual(_MOTD.decode().strip(),
                         self.guest.run('cat /etc/motd'))
        self.assertEqual('644 root 2', self.guest.run(
            'stat -c "%a %U %s" /srv/new/place'))
        found = {each['path']: each['content_path']
                 for each in self._metadata()['files']}
        self.guest.run(
            f'cmp /etc/motd /config-drive/openstack{found["/etc/motd"]}')

    def test_tags(self) -> None:
        [port] = self.server.ports()
        [device] = self._metadata()['devices']
        self.assertEqual(('nic', port.mac_address, ['front']), (
            device['type'], device['mac'], device['tags']))


class AddressTestCase(base.CloudTestCase):
    def test_without_dhcp(self) -> None:
        server = self.make.server(
            config_drive=True, metadata={
                'docker:command': f'cat {_DRIVE}/network_data.json'},
            network=self.make.network(
                '10.93.1.0/24', gateway_ip='10.93.1.254',
                enable_dhcp=False))
        [told] = json.loads(server.printed())['networks']
        self.assertEqual(
            ('ipv4', server.addresses()[0], '255.255.255.0'),
            (told['type'], told['ip_address'], told['netmask']))
        self.assertEqual(['10.93.1.254'],
                         [each['gateway'] for each in told['routes']])


class NoDriveTestCase(base.CloudTestCase):
    def test_only_who_asks_has_one(self) -> None:
        shown = self.make.prints('ls -d /config-drive 2>&1')
        self.assertIn('No such file', shown)

    def test_a_file_that_can_not_be_written(self) -> None:
        server = self.make.server(
            microversion=_PERSONALITY, wait=(),
            personality=_personality(**{'/etc': b'x'}))
        self.assertIn("File '/etc' can't be put into the server: "
                      "the image's /etc is not a file", server.fault())


class TagTestCase(base.CloudTestCase):
    """The metadata service tells of what is attached later, too."""

    def test_attach_and_detach(self) -> None:
        network = self.make.network('10.93.0.0/24', gateway_ip=None)
        server = self.make.server('ssh')
        guest = self.make.login(server)

        def tags() -> list[str] | None:
            # There is no answer while the way to the service changes: it
            # leads through the interface without a router.
            answer = guest.run('curl -sf -m 10 http://169.254.169.254/'
                               'openstack/latest/meta_data.json || :')
            return [tag for device in json.loads(answer)['devices']
                    for tag in device.get('tags', [])] if answer else None
        clouds.wait_until(lambda: tags() == [], 'there is no tag')
        compute = clouds.connection('demo').compute
        port = compute.create_server_interface(
            server.id, net_id=network, tag='back')
        # The service remembers what it has said for 15 s.
        clouds.wait_until(lambda: tags() == ['back'], 'the tag is told')
        compute.delete_server_interface(port.port_id, server=server.id)
        clouds.wait_until(lambda: tags() == [], 'the tag is forgotten')
