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

"""A first session: a web server, reached only where its owner allows it."""

from __future__ import annotations

import http.client
from typing import Any

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import servers

#: Seconds that a connection attempt gets before nobody is there.
_ATTEMPT = 3


def _page(address: str) -> str:
    """Return what a web server answers; nothing if it does not."""
    connection = http.client.HTTPConnection(address, timeout=_ATTEMPT)
    try:
        connection.request('GET', '/')
        return connection.getresponse().read().decode()
    except OSError:
        return ''
    finally:
        connection.close()


class WebServerTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.network = clouds.connection('demo').network
        self.group = self.make.security_group()

    def test_answers_once_the_security_group_allows_it(self) -> None:
        web = self._created_by_command()
        address = self.make.floating_ip(web)
        ssh = self._allow(22)
        # Nothing listens there, so to be refused is to be let through.
        clouds.wait_until(lambda: self._is_refused(address, 22),
                          'the floating IP leads to the server')
        self.assertEqual('', _page(address))
        allowed = self._allow(80)
        page = clouds.wait_until(lambda: _page(address), 'the page is there')
        self.assertIn(web.show().name, page)
        self.assertIn(web.addresses()[0], page)
        self.network.delete_security_group_rule(allowed)
        clouds.wait_until(lambda: not _page(address), 'the page is shut off')
        self.network.delete_security_group_rule(ssh)

    def _created_by_command(self) -> servers.Server:
        """Do as the guide says, word by word but for the names."""
        name = f'web-{self.group[:8]}'
        clouds.openstack_command(
            'server', 'create', '--image', 'web', '--flavor', 'm1.tiny',
            '--network', 'private', '--key-name', 'demo',
            '--security-group', self.group, '--wait', name)
        made = clouds.connection('demo').compute.find_server(name)
        web = servers.Server(made.id)
        self.addCleanup(self.make.delete, web)
        shown = clouds.openstack_command('server', 'show', name,
                                         '-f', 'json')
        self.assertEqual('ACTIVE', shown['status'])
        self.assertEqual(web.addresses(), shown['addresses']['private'])
        return web

    def _allow(self, port: int) -> Any:
        return self.network.create_security_group_rule(
            security_group_id=self.group, direction='ingress',
            ethertype='IPv4', protocol='tcp', port_range_min=port,
            port_range_max=port)

    @staticmethod
    def _is_refused(address: str, port: int) -> bool:
        connection = http.client.HTTPConnection(address, port, _ATTEMPT)
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        finally:
            connection.close()
        return False
