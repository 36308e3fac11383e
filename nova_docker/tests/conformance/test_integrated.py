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

"""A server's life through Nova's API, scheduler, conductor and Placement."""

import contextlib
import io
import json
import sys
import tarfile
from typing import Any
from typing import ClassVar

from nova.tests.functional import integrated_helpers

from nova import context
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.conformance import fixtures

_IMAGE = '155d900f-4e14-4e4c-a73d-069cbf4541e6'
#: How often Nova's helpers look, twice a second, before they give up.
_LOOKS = 2 * tests.PATIENCE


class DockerServersTestCase(integrated_helpers.ProviderUsageBaseTestCase):
    """Real services in one process, and a real engine below them."""

    compute_driver = 'docker.DockerDriver'

    host: ClassVar[fixtures.Host]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = fixtures.Host(cls)

    def setUp(self) -> None:
        self.engine = self.useFixture(fixtures.EngineFixture())
        # Where pip puts it, which is not where Nova's own tree has it.
        self.flags(api_paste_config=f'{sys.prefix}/etc/nova/api-paste.ini',
                   group='wsgi')
        self.useFixture(fixtures.Suite(self.host, self.flags))
        super().setUp()
        self.compute = self.start_service('compute', host='host1')
        self.provider = self._get_provider_uuid_by_host('host1')
        self.flavor = self.api.get_flavor(self._create_flavor(
            memory_mb=64, vcpu=1, disk=1, ephemeral=0))

    def _wait_for_server_parameter(
            self, server: dict[str, Any], expected_params: dict[str, Any],
            max_retries: int = 0, **more: Any) -> dict[str, Any]:
        """Wait for longer than Nova, whose driver here is a fake."""
        found: dict[str, Any] = super()._wait_for_server_parameter(
            server, expected_params, max(max_retries, _LOOKS), **more)
        return found

    def _wait_for_instance_action_event(self, *asked: Any,
                                        **more: Any) -> dict[str, Any]:
        """Wait for longer, as above; it gives up after ten looks."""
        for _number in range(_LOOKS // 10):
            with contextlib.suppress(self.failureException):
                found: dict[str, Any] = (
                    super()._wait_for_instance_action_event(*asked, **more))
                return found
        raise AssertionError(f'not within {tests.PATIENCE} s: {asked}')

    def _boot(self) -> dict[str, Any]:
        server: dict[str, Any] = self._create_server(
            image_uuid=_IMAGE, flavor_id=self.flavor['id'], networks='auto')
        return server

    def _states(self) -> dict[str, str]:
        """The state of each of our containers, by its name."""
        return {each.name: each.status for each in self.engine.instances()}

    def test_inventory_and_traits(self) -> None:
        inventory = self._get_provider_inventory(self.provider)
        self.assertLessEqual({'VCPU', 'MEMORY_MB', 'DISK_GB'},
                             set(inventory))
        host = self.engine.client.info()
        self.assertEqual(host['NCPU'], inventory['VCPU']['total'])
        self.assertEqual(host['MemTotal'] >> 20,
                         inventory['MEMORY_MB']['total'])
        self.assertIn('COMPUTE_IMAGE_TYPE_RAW',
                      self._get_provider_traits(self.provider))

    def test_boot_and_delete(self) -> None:
        server = self._boot()
        workload = f'nova-{server["id"]}'
        self.assertEqual(
            {workload: 'running', f'{workload}-sandbox': 'running'},
            self._states())
        self.assertFlavorMatchesUsage(self.provider, self.flavor)
        self._delete_server(server)
        self.assertEqual({}, self._states())
        # Nova gives them back when the server is gone already.
        tests.wait_until(
            lambda: not any(
                self._get_provider_usages(self.provider).values()),
            'nothing of the host is used')

    def test_stop_and_start(self) -> None:
        server = self._boot()
        workload = f'nova-{server["id"]}'
        self._stop_server(server)
        self.assertEqual('exited', self._states()[workload])
        self.assertEqual('running', self._states()[f'{workload}-sandbox'])
        self._start_server(server)
        self.assertEqual('running', self._states()[workload])

    def test_pause_and_unpause(self) -> None:
        server = self._boot()
        self.api.post_server_action(server['id'], {'pause': None})
        self._wait_for_state_change(server, 'PAUSED')
        self.assertEqual('paused', self._states()[f'nova-{server["id"]}'])
        self.api.post_server_action(server['id'], {'unpause': None})
        self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual('running', self._states()[f'nova-{server["id"]}'])

    def test_reboot(self) -> None:
        server = self._boot()
        for hard in (False, True):
            began = self._started(server)
            self._reboot_server(server, hard=hard)
            self.assertNotEqual(began, self._started(server))

    def _started(self, server: dict[str, Any]) -> str:
        workload = self.engine.client.containers.get(f'nova-{server["id"]}')
        started: str = workload.attrs['State']['StartedAt']
        return started

    def test_snapshot(self) -> None:
        server = self._boot()
        before = {each.id for each in self.engine.client.images.list(all=True)}
        self._snapshot_server(server, 'taken')
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:task_state': None})
        image = next(each for each in self.glance.images.values()
                     if each['name'] == 'taken')
        self.assertEqual('docker', image['container_format'])
        self.assertEqual('running', self._states()[f'nova-{server["id"]}'])
        self.assertEqual(before, {
            each.id for each in self.engine.client.images.list(all=True)})
        again = self._create_server(
            image_uuid=image['id'], flavor_id=self.flavor['id'],
            networks='auto')
        self.assertEqual('running', self._states()[f'nova-{again["id"]}'])

    def test_config_drive_and_tags(self) -> None:
        port = self.neutron.port_1
        asked = self._build_server(
            image_uuid=_IMAGE, flavor_id=self.flavor['id'],
            networks=[{'port': port['id'], 'tag': 'front'}])
        server = self._wait_for_state_change(self.api.post_server(
            {'server': {**asked, 'config_drive': True}}), 'ACTIVE')
        self.assertTrue(server['config_drive'])
        found = json.loads(self._read(
            server, '/config-drive/openstack/latest/meta_data.json'))
        self.assertEqual(server['id'], found['uuid'])
        [device] = found['devices']
        self.assertEqual((port['mac_address'], ['front']),
                         (device['mac'], device['tags']))
        self._delete_server(server)
        self.assertEqual([], self.engine.client.volumes.list(
            filters={'label': f'{names.UUID}={server["id"]}'}))

    def _read(self, server: dict[str, Any], path: str) -> bytes:
        """Return a file of a server."""
        workload = self.engine.client.containers.get(f'nova-{server["id"]}')
        pieces, _stat = workload.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b''.join(pieces))) as tar:
            stream = tar.extractfile(tar.getmembers()[0])
            assert stream is not None
            return stream.read()

    def test_a_revert_leaves_nothing_where_the_source_is_silent(self) -> None:
        """Or the server would run twice once the source has heard of it."""
        self.flags(allow_resize_to_same_host=True)
        server = self._boot()
        self._resize_server(server, self._create_flavor(
            memory_mb=128, vcpu=1, disk=1, ephemeral=0))
        self._move_source_away(server)
        self.api.post_server_action(server['id'], {'revertResize': None})
        tests.wait_until(lambda: not self._states(),
                         'no container of the server is left')

    def test_an_offload_that_failed_is_done_again(self) -> None:
        """The first has removed the container, and no more."""
        self.flags(shelved_offload_time=-1)
        server = self._shelve_server(self._boot(), expected_state='SHELVED')
        self.compute.driver.destroy(
            context.get_admin_context(), self._instance(server), None)
        self._shelve_offload_server(server)
        self._unshelve_server(server)
        self.assertEqual('running', self._states()[f'nova-{server["id"]}'])

    def test_a_soft_delete_of_what_has_no_container(self) -> None:
        self.flags(reclaim_instance_interval=600)
        server = self._boot()
        self.compute.driver.destroy(
            context.get_admin_context(), self._instance(server), None)
        self.api.delete_server(server['id'])
        self._wait_for_state_change(server, 'SOFT_DELETED')

    @staticmethod
    def _instance(server: dict[str, Any]) -> objects.Instance:
        return objects.Instance.get_by_uuid(
            context.get_admin_context(), server['id'])

    def _move_source_away(self, server: dict[str, Any]) -> None:
        """Let a migration have come from a host where nobody answers."""
        migration = objects.Migration.get_by_instance_and_status(
            context.get_admin_context(), server['id'], 'finished')
        migration.source_compute = 'silent'
        migration.save()

    def test_a_container_that_exits_is_shut_off(self) -> None:
        server = self._boot()
        self.engine.client.containers.get(f'nova-{server["id"]}').kill()
        self._wait_for_state_change(server, 'SHUTOFF')

    def test_a_restart_of_the_service_finds_the_server(self) -> None:
        server = self._boot()
        began = self._started(server)
        self.compute = self.restart_compute_service(self.compute)
        self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(began, self._started(server))

    def test_the_service_starts_past_a_broken_container(self) -> None:
        broken, other = self._boot(), self._boot()
        inspect = client.Engine.container

        def fail(engine: client.Engine, name: str) -> client.Document:
            if name == f'nova-{broken["id"]}':
                raise errors.EngineError('its layer is nil', 500)
            return inspect(engine, name)

        self.stub_out('nova_docker.engine.client.Engine.container', fail)
        self.compute = self.restart_compute_service(self.compute)
        self._wait_for_server_parameter(
            broken, {'OS-EXT-STS:vm_state': 'error'})
        self._wait_for_state_change(other, 'ACTIVE')
