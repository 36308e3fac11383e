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

"""Rescues of real containers, as seen from inside."""

from __future__ import annotations

import os
import pathlib
import stat
from typing import Any
from unittest import mock

import ddt
import fixtures
from nova.network import model
from oslo_utils import units

from nova import context
from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import files
from nova_docker.instances import password
from nova_docker.instances import power
from nova_docker.instances import rescue
from nova_docker.instances import rootdisk
from nova_docker import names
from nova_docker import privsep
from nova_docker.privsep import overlay
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import privileged

KEY = 'ssh-ed25519 AAAAC3Nza demo@example'
SERVER = 'echo served >>/starts; echo ready; exec sleep 1000'
RESCUE = ('CMD ["/bin/sh", "-c", "echo rescuing; exec sleep 1000"]',)


class RescueBase(base.EngineTestCase):
    """A server that runs, and what rescues it."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        privileged.use(cls, privsep.storage_pctxt,
                       'docker_storage_privileged')

    def setUp(self) -> None:
        super().setUp()
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.images = mock.create_autospec(store.Store, instance=True)
        self.images.properties.return_value = {}
        self.power = self.make_power()
        self.disks = rootdisk.RootDisk(self.engine)
        self.rescue = self.make_rescue(self.power)
        self.instance = self.run_workload(
            self.make_image(base.Entry('etc/motd', 'mine')),
            '/bin/sh', '-c', SERVER, key_data=KEY)
        # The containers go after the mount, with what the tests have made.
        self.addCleanup(self.disks.unmount, self.instance)
        self.wait_for_log(self.instance, 'ready')

    def make_rescue(self, powers: power.Power) -> rescue.Rescue:
        return rescue.Rescue(self.images, self.workloads, powers, self.disks,
                             password.Password(self.engine, self.contents))

    def begin(self, changes: tuple[str, ...] = RESCUE) -> None:
        self.images.ensure.return_value = self.make_image(changes=changes)
        self.rescue.begin(context.get_admin_context(), self.instance,
                          model.NetworkInfo(), objects.ImageMeta(id='7'),
                          'secret')

    def inside(self, *command: str) -> str:
        code, output = self.engine.run(names.workload(self.instance.uuid),
                                       command)
        self.assertEqual(0, code, output)
        return output.decode()

    def directory(self) -> pathlib.Path:
        return pathlib.Path(rootdisk.directory(self.instance))


@ddt.ddt
class RescueTestCase(RescueBase):
    def test_a_change_made_there_is_in_the_server(self) -> None:
        self.begin()
        self.wait_for_log(self.instance, 'rescuing')
        self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))
        self.inside('sh', '-c', 'echo mended >/rescue/etc/motd; '
                    'mkdir -p /rescue/new/deep; chmod 700 /rescue/new')
        self.rescue.end(self.instance)
        self.assertEqual('mended\n', self.inside('cat', '/etc/motd'))
        self.assertEqual('700\n', self.inside('stat', '-c', '%a', '/new'))
        self.assertFalse(self.directory().parent.exists())
        self.assertFalse(self.workloads.is_aside(self.instance))

    def test_nobody_else_of_the_host_gets_at_the_root_disk(self) -> None:
        """Whatever the directory was before."""
        above = self.directory().parent
        above.mkdir(0o755)
        self.begin()
        self.assertEqual(0o700, stat.S_IMODE(above.stat().st_mode))
        self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))

    def test_the_rescue_image_has_the_keys_and_its_own_command(self) -> None:
        """What the tenant or the server's image wants is not for it."""
        self.images.properties.return_value = {
            'image_docker_env_MODE': 'rescue'}
        self.begin()
        self.wait_for_log(self.instance, 'rescuing')
        self.assertEqual(KEY, files.read(
            self.engine, names.workload(self.instance.uuid),
            '/root/.ssh/authorized_keys').strip())
        self.assertIn('MODE=rescue', self.inside('env'))
        # The engine has it mounted nowhere else meanwhile.
        self.assertEqual('served\n', self.inside('cat', '/rescue/starts'))

    def test_after_a_resize_that_nobody_ended(self) -> None:
        """It is rescued with what it has written since."""
        self.power.off(self.instance)
        self.workloads.move_disk(
            self.instance, configdrive.Details(model.NetworkInfo()))
        self.power.on(self.instance, model.NetworkInfo())
        self.inside('touch', '/since')
        self.begin()
        self.inside('cat', '/rescue/since')
        self.rescue.end(self.instance)
        self.inside('cat', '/since')

    def test_an_image_whose_chpasswd_refuses(self) -> None:
        self.images.ensure.return_value = self.make_image(
            base.program('bin/chpasswd', 'exit 3'), changes=RESCUE)
        self.rescue.begin(context.get_admin_context(), self.instance,
                          model.NetworkInfo(), objects.ImageMeta(id='7'),
                          'secret')
        self.inside('ls', '/rescue/etc/motd')

    def test_reboot_while_rescued(self) -> None:
        self.begin()
        self.power.reboot(self.instance, model.NetworkInfo(), hard=True)
        self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))

    def test_start_after_the_host_was_restarted(self) -> None:
        self.begin()
        self.power.off(self.instance)
        overlay.unmount(os.fspath(self.directory()))
        self.power.on(self.instance, model.NetworkInfo())
        self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))

    def test_a_rescue_image_that_does_not_start(self) -> None:
        self.assertRaises(errors.EngineBadRequest, self.begin,
                          ('CMD ["/bin/none-such"]',))
        self.assertFalse(self.directory().parent.exists())
        self.power.on(self.instance, model.NetworkInfo())
        self.assertEqual('mine', self.inside('cat', '/etc/motd'))

    def kept_by(self, driver: str) -> None:
        """Let the engine name another storage driver than its own."""
        real = self.engine.container

        def container(name: str) -> dict[str, Any]:
            return real(name) | {'GraphDriver': {'Name': driver,
                                                 'Data': None}}
        self.useFixture(fixtures.MockPatchObject(
            self.engine, 'container', container))

    def test_an_engine_whose_disks_nobody_mounts(self) -> None:
        self.kept_by('zfs')
        error = self.assertRaises(exception.InstanceNotRescuable, self.begin)
        self.assertIn("'zfs'", str(error))
        self.power.on(self.instance, model.NetworkInfo())
        self.assertEqual('mine', self.inside('cat', '/etc/motd'))

    @ddt.data(('vfs', 'vfs/dir'), ('btrfs', 'btrfs/subvolumes'))
    @ddt.unpack
    def test_an_engine_that_does_not_tell_where_disks_are(
            self, driver: str, kept: str) -> None:
        """The directories are made as such an engine has them."""
        name = self.engine.container(names.workload(
            self.instance.uuid))['Id']
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        disk = root / kept / ('7' * 64)
        disk.mkdir(parents=True)
        (disk / 'motd').write_text('kept')
        record = root / 'image' / driver / 'layerdb/mounts' / name
        record.mkdir(parents=True)
        (record / 'mount-id').write_text('7' * 64)
        self.kept_by(driver)
        facts = self.engine.info() | {'DockerRootDir': os.fspath(root)}
        self.useFixture(fixtures.MockPatchObject(
            self.engine, 'info', lambda: facts))
        self.begin()
        self.assertEqual('kept', self.inside('cat', '/rescue/motd'))
        self.inside('sh', '-c', 'echo mended >/rescue/motd')
        self.rescue.end(self.instance)
        self.assertEqual('mended\n', (disk / 'motd').read_text())
        self.assertFalse(self.directory().parent.exists())

    def test_delete_while_rescued(self) -> None:
        self.begin()
        self.make_destroy()(self.instance, model.NetworkInfo())
        self.assertEqual([], self.engine.containers(
            [f'{names.UUID}={self.instance.uuid}']))
        self.assertFalse(self.directory().parent.exists())

    def test_the_end_can_be_taken_again(self) -> None:
        self.begin()
        self.rescue.end(self.instance)
        self.rescue.end(self.instance)
        self.assertEqual('mine', self.inside('cat', '/etc/motd'))

    def test_the_limits_of_a_resize_without_a_restart(self) -> None:
        """No label or record tells them, but the instance."""
        large = tests.make_flavor(memory_mb=96)
        self.workloads.limit(self.instance, large)
        self.instance.flavor = large
        self.begin()
        self.assertEqual(96 * units.Mi, self.memory())
        self.rescue.end(self.instance)
        self.assertEqual(96 * units.Mi, self.memory())

    def memory(self) -> int:
        """Return the workload's limit in bytes."""
        found = self.engine.container(names.workload(self.instance.uuid))
        return int(found['HostConfig']['Memory'])
