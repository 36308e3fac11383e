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

"""Config drives on a real engine, seen from inside the server."""

from __future__ import annotations

import base64
import json
from typing import Any

import fixtures
from nova.network import model
from nova.network import security_group_api

from nova import objects
from nova_docker import errors
from nova_docker.instances import configdrive
from nova_docker.instances import keys
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

_USER_DATA = '#!/bin/sh\necho "mine"\n'
_WEB = base.Entry('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'
                  'web:x:1000:1001:Web:/home/web:/bin/sh\n')


class ConfigDriveTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        # There is neither a Neutron nor a database.
        self.useFixture(fixtures.MockPatchObject(
            security_group_api, 'get_instance_security_groups',
            autospec=True, return_value=[{'name': 'web'}]))
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_bdms', autospec=True, return_value=[]))

    def make_instance(self, flavor: objects.Flavor | None = None,
                      **fields: Any) -> objects.Instance:
        """Return an instance that wants a drive."""
        return super().make_instance(flavor, **{
            'config_drive': 'True', 'launch_index': 0,
            'availability_zone': 'nova', 'reservation_id': 'r-1',
            'user_data': base64.b64encode(_USER_DATA.encode()).decode(),
            'keypairs': objects.KeyPairList(), 'device_metadata': None,
            'numa_topology': None, 'root_device_name': None,
            'default_ephemeral_device': None, 'default_swap_device': None,
            'ec2_ids': objects.EC2Ids(
                instance_id='i-1', ami_id='ami-1', kernel_id=None,
                ramdisk_id=None), **fields})

    def boot(self, instance: objects.Instance, *more: base.Entry,
             **details: Any) -> str:
        """Start an instance of a new image; return the workload's name."""
        self.boxes.ensure(instance, [], [])
        self.workloads.create(
            instance, self.make_image(*more),
            configdrive.Details(model.NetworkInfo(), **details))
        name = names.workload(instance.uuid)
        self.engine.start(name)
        return name

    def prints(self, script: str, *more: base.Entry, **fields: Any) -> str:
        """Return what a script says in an instance with a drive."""
        command = json.dumps(['/bin/sh', '-c', script])
        fields.setdefault('metadata', {})['docker:command'] = command
        details = fields.pop('details', {})
        instance = self.make_instance(**fields)
        self.boot(instance, *more, **details)
        self.wait_for_end(instance)
        return self.log(instance).strip()

    def volumes(self, instance: objects.Instance) -> list[str]:
        return [volume['Name'] for volume in self.engine.volumes(
            [f'{names.UUID}={instance.uuid}'])]

    def test_what_nova_knows(self) -> None:
        shown = json.loads(self.prints(
            'cat /config-drive/openstack/latest/meta_data.json',
            hostname='purpose', metadata={'colour': 'red'},
            details={'admin_password': 'secret'}))
        self.assertEqual(('purpose.novalocal', 'secret', 'red'), (
            shown['hostname'], shown['admin_pass'], shown['meta']['colour']))

    def test_the_whole_tree(self) -> None:
        shown = self.prints(
            'cd /config-drive; ls -R .; cat openstack/latest/user_data')
        self.assertIn('"mine"', shown)
        for name in ('ec2', 'meta_data.json', 'network_data.json',
                     'vendor_data.json', 'vendor_data2.json', 'user_data',
                     'meta-data.json', 'user-data', '2012-08-10', 'latest'):
            self.assertIn(name, shown.split())

    def test_injected_files_are_in_it(self) -> None:
        shown = self.prints(
            'cat /config-drive/openstack/content/0000 /etc/motd',
            details={'files': [('/etc/motd', b'good morning\n')]})
        self.assertEqual('good morning\ngood morning', shown)

    def test_where_cloud_init_looks(self) -> None:
        seed = '/var/lib/cloud/seed/config_drive/openstack/latest'
        self.assertEqual(_USER_DATA.strip(),
                         self.prints(f'cat {seed}/user_data'))

    def test_nobody_writes(self) -> None:
        for path in configdrive.MOUNT_POINTS:
            self.assertIn('Read-only file system',
                          self.prints(f'touch {path}/new'))

    def test_root_alone_reads(self) -> None:
        shown = self.prints(
            'cd /config-drive; stat -c "%a %u" . openstack '
            'openstack/latest/meta_data.json')
        self.assertEqual(['700 0', '700 0', '600 0'], shown.splitlines())

    def test_an_image_whose_user_is_not_root(self) -> None:
        """There is no root in it who could read the drive."""
        shown = self.prints(
            'id -u; stat -c "%a %u %g" /config-drive; '
            'cat /config-drive/openstack/latest/user_data', _WEB,
            system_metadata={'image_docker_user': 'web'})
        self.assertEqual(['1000', '700 1000 1001'], shown.splitlines()[:2])
        self.assertIn('mine', shown)

    def test_on_a_read_only_root(self) -> None:
        self.assertIn('mine', self.prints(
            'cat /config-drive/openstack/latest/user_data',
            flavor=tests.make_flavor(
                extra_specs={'docker:read_only': 'true'})))

    def test_only_who_wants_one(self) -> None:
        instance = self.make_instance(config_drive='')
        self.boot(instance)
        self.assertEqual([], self.volumes(instance))

    def test_who_must_have_one(self) -> None:
        instance = self.make_instance(config_drive='', system_metadata={
            'image_img_config_drive': 'mandatory'})
        self.boot(instance)
        self.assertEqual(1, len(self.volumes(instance)))

    def test_labels(self) -> None:
        instance = self.make_instance()
        self.boot(instance)
        [volume] = self.engine.volumes([f'{names.UUID}={instance.uuid}'])
        self.assertEqual(names.labels(instance, names.Role.CONFIG),
                         volume['Labels'])
        self.assertEqual(2, len(self.engine.containers(
            [f'{names.UUID}={instance.uuid}'])))

    def test_a_new_workload_gets_a_new_one(self) -> None:
        instance = self.make_instance()
        before = self.volumes(instance)
        self.engine.remove(self.boot(instance))
        first = self.volumes(instance)
        self.boot(instance)
        self.assertEqual(1, len(self.volumes(instance)))
        self.assertNotEqual(first, self.volumes(instance))
        self.assertEqual([], before)

    def test_a_rescue_leaves_the_own_one_alone(self) -> None:
        instance = self.make_instance()
        self.engine.stop(self.boot(instance, admin_password='own'), 0)
        own = self.volumes(instance)
        self.workloads.set_aside(instance)
        self.boot(instance, admin_password='for the rescue')
        self.assertEqual(2, len(self.volumes(instance)))
        self.workloads.bring_back(instance)
        self.assertEqual(own, self.volumes(instance))

    def test_destroy(self) -> None:
        """Whatever there is of it, also of one that was half made."""
        undo = self.make_destroy()
        whole, half = self.make_instance(), self.make_instance()
        self.boot(whole)
        self.drives.create(half)
        for instance in (whole, half):
            for _again in range(2):
                undo(instance, model.NetworkInfo())
            self.assertEqual([], self.volumes(instance))
            self.assertEqual([], self.engine.containers(
                [f'{names.UUID}={instance.uuid}']))

    def test_a_failure_says_what_it_was_about(self) -> None:
        instance = self.make_instance()
        self.drives.create(instance)
        self.engine.remove(names.config_drive(instance.uuid))
        error = self.assertRaises(
            errors.EngineNotFound, self.drives.fill, instance,
            configdrive.Details(model.NetworkInfo()), lambda: keys.ROOT)
        self.assertIn('the config drive could not be written: No such',
                      error.message)

    def test_it_is_in_no_snapshot(self) -> None:
        instance = self.make_instance()
        name = self.boot(instance)
        taken = f'nova-docker-test/snapshot:{instance.uuid}'
        self.engine.commit(name, taken, pause=True, changes=['LABEL a=b'])
        self.addCleanup(self.engine.remove_image, taken, force=True)
        self.assertEqual('', self.output(taken, 'ls /config-drive'))
