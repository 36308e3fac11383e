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

"""Manila's shares in servers: files that servers have in common."""

from __future__ import annotations

import pathlib
from typing import Any

from openstack import exceptions

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import workbench

#: The first version of the API in which a server has shares.
SHARES = '2.97'


class SharesTestCase(base.CloudTestCase):
    """A share, and servers that have it."""

    def setUp(self) -> None:
        super().setUp()
        self.shares = clouds.connection('demo').shared_file_system
        self.share = self.shares.create_share(
            share_protocol='NFS', size=1, name=workbench.new_name())
        self.addCleanup(self._delete_share)
        clouds.wait_until(
            lambda: self.shares.get_share(self.share.id).status
            == 'available', 'the share is available')

    def _delete_share(self) -> None:
        [directory] = self.directories()
        self.shares.delete_share(self.share.id)
        clouds.wait_until(self._is_gone, 'the share is deleted')
        self.assertFalse(directory.exists())

    def _is_gone(self) -> bool:
        try:
            self.shares.get_share(self.share.id)
        except exceptions.NotFoundException:
            return True
        return False

    def directories(self) -> list[pathlib.Path]:
        """Return where the share is on the host."""
        return [pathlib.Path(each.path.partition(':')[2])
                for each in self.shares.export_locations(self.share.id)]

    def call(self, method: str, server: servers.Server, rest: str = '',
             **more: Any) -> Any:
        compute = clouds.connection('demo').compute
        answer = getattr(compute, method)(
            f'/servers/{server.id}/shares{rest}', microversion=SHARES, **more)
        exceptions.raise_from_response(answer)
        return answer

    def add(self, server: servers.Server) -> None:
        """Give a stopped server the share."""
        self.call('post', server, json={'share': {
            'share_id': self.share.id, 'tag': 'data'}})
        self._wait_for_status(server, 'inactive')

    def _wait_for_status(self, server: servers.Server, status: str) -> None:
        def reached() -> bool:
            [found] = self.call('get', server).json()['shares']
            if found['status'] == 'error':
                raise AssertionError(f'the share is in error: {found}')
            return bool(found['status'] == status)
        clouds.wait_until(reached, f'the share is {status}')

    def remove(self, server: servers.Server) -> None:
        """Take the share away from a stopped server."""
        self.call('delete', server, f'/{self.share.id}')
        clouds.wait_until(
            lambda: not self.call('get', server).json()['shares'],
            'the share is no longer the server\'s')

    def server(self, command: str, **more: Any) -> servers.Server:
        """Return a server that has run a command, and now has the share."""
        server = self.make.server(
            metadata={'docker:command': f"sh -c '{command}'"}, **more)
        server.wait_for('SHUTOFF')
        self.add(server)
        return server

    def run_again(self, server: servers.Server) -> None:
        """Start a server, whose command ends by itself."""
        clouds.connection('demo').compute.start_server(server.id)
        clouds.wait_until(
            lambda: server.result('start') == 'Success', 'it has started')
        server.wait_for('SHUTOFF')

    def test_what_one_writes_another_reads(self) -> None:
        [directory] = self.directories()
        writer = self.server('hostname > /shares/data/note')
        reader = self.server('cat /shares/data/note')
        self.run_again(writer)
        self.run_again(reader)
        self.assertEqual(writer.show().name,
                         reader.console().strip().splitlines()[-1])
        self.remove(writer)
        # Whoever has it still, has it still.
        self.run_again(reader)
        self.assertEqual(2, reader.console().count(writer.show().name))
        self.run_again(writer)
        self.assertEqual(f'{writer.show().name}\n',
                         (directory / 'note').read_text())

    def test_it_stays_with_a_running_server(self) -> None:
        """Through reboots, until the server is deleted; the files stay."""
        [directory] = self.directories()
        server = self.make.server('ssh')
        server.stop()
        self.add(server)
        server.start()
        self._wait_for_status(server, 'active')
        guest = self.make.login(server)
        guest.run('echo precious > /shares/data/file')
        for kind in ('SOFT', 'HARD'):
            server.reboot(kind)
            self.assertEqual('precious',
                             guest.again().run('cat /shares/data/file'))
        self.make.delete(server)
        self.assertEqual('precious\n', (directory / 'file').read_text())

    def test_neither_devices_nor_privileges(self) -> None:
        server = self.server('grep " /shares/data " /proc/mounts')
        self.run_again(server)
        options = server.console().split()[3].split(',')
        self.assertLessEqual({'nosuid', 'nodev'}, set(options))
