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

"""A tenant who wants more than a server from its root volume."""

from __future__ import annotations

import os
import subprocess

import fixtures

from nova import objects
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional.rootvolume import base
from nova_docker.tests.functional.volumes import base as volumes


class EarlyTestCase(base.RootTestCase):
    """Nothing of a server runs before its volume is its root."""

    def waiting(self) -> objects.Instance:
        """Return a server that the engine has started, and nobody let in."""
        instance = self.boot(self.make_volume(), start=False)
        self.engine.start(names.workload(instance.uuid))
        return instance

    def test_no_health_check(self) -> None:
        """The engine begins with it when it starts the container."""
        self.use_image(changes=(
            'CMD ["sh"]',
            'HEALTHCHECK --interval=100ms CMD ["/.root/bin/touch", "/x"]'))
        self.assertNotIn('Health', self.state(self.waiting()))

    def test_a_device_in_the_place_of_the_pipe(self) -> None:
        """The driver is in no control group that keeps it from devices."""
        self.use_image()
        victim = self.make_volume()
        digest = victim.digest()
        number = os.stat(victim.device).st_rdev
        instance = self.waiting()
        self.inside(instance, '/.root/bin/sh', '-ec',
                    'PATH=/.root/bin; busybox rm /gate.fifo; busybox mknod '
                    f'/gate.fifo b {os.major(number)} {os.minor(number)}')
        self.assertRaises(errors.EngineError, self.workloads.start, instance)
        self.assertEqual(digest, victim.digest())
        self.assert_ended(instance)

    def test_an_endless_working_directory(self) -> None:
        """Made like any other; it ends no function of the driver's early."""
        place = '/a' * 1500
        self.use_image()
        instance = self.boot(self.make_volume(), 'sleep', '1000',
                             metadata={'docker:workdir': place})
        self.inside(instance, 'ls', '-d', place)

    def assert_ended(self, instance: objects.Instance) -> None:
        """See that a server does not run in any way."""
        tests.wait_until(lambda: not self.power.is_running(instance),
                         'it has ended')


class TopTestCase(base.RootTestCase):
    """What lies beside the root file system."""

    def setUp(self) -> None:
        super().setUp()
        # Who opens a pipe may wait for ever.
        self.useFixture(fixtures.Timeout(3 * tests.PATIENCE, gentle=True))
        self.use_image()
        self.volume = self.make_volume()

    def lay(self, script: str) -> None:
        """Write to the top of a volume, as a server does that has it."""
        other = self.start()
        self.attach(other, self.volume)
        subprocess.run(['sh', '-ec', script], check=True,
                       cwd=self.host_path(other))
        self.detach(other, self.volume)

    def refusal(self) -> str:
        """Return why a server can't be booted from the volume."""
        return str(self.assertRaises(
            errors.UnsuitableVolume, self.boot, self.volume))

    def test_a_pipe_for_the_mark(self) -> None:
        self.lay('mkfifo nova-docker.unfinished')
        self.assertIn('it has files', self.refusal())

    def test_a_pipe_for_the_description(self) -> None:
        self.lay('touch nova-docker.unfinished; mkfifo nova-docker.json.new')
        self.inside(self.boot(self.volume), 'true')

    def test_links_to_the_host(self) -> None:
        outside = self.useFixture(fixtures.TempDir()).path
        self.lay('touch nova-docker.unfinished; '
                 f'ln -s {outside} root; '
                 f'ln -s {outside}/x nova-docker.json.new')
        self.inside(self.boot(self.volume), 'true')
        self.assertEqual([], os.listdir(outside))

    def test_a_deep_tree(self) -> None:
        self.lay('touch nova-docker.unfinished; mkdir root; cd -P root; '
                 'i=0; while [ $i -lt 1500 ]; do mkdir a; cd -P a; '
                 'i=$((i + 1)); done')
        self.inside(self.boot(self.volume), 'true')

    def test_what_can_not_be_removed(self) -> None:
        self.lay('touch nova-docker.unfinished; mkdir root; touch root/file; '
                 'chattr +i root/file')
        self.assertIn('can not be removed', self.refusal())


class SuperblockTestCase(volumes.VolumesTestCase):
    """What a file system asks of the kernel that mounts it."""

    def test_no_panic(self) -> None:
        for asked in (('-e', 'panic'), ('-E', 'mount_opts=errors=panic')):
            volume = self.make_volume()
            volumes.run('mkfs.ext4', '-q', volume.device)
            volumes.run('tune2fs', *asked, volume.device)
            instance = self.start()
            self.attach(instance, volume)
            table = volumes.run('cat', '/proc/self/mountinfo')
            [line] = [each for each in table.splitlines()
                      if each.split()[4] == str(self.host_path(instance))]
            self.assertIn('errors=remount-ro', line)

    def test_no_place_of_the_host_in_a_fault(self) -> None:
        volume = self.make_volume()
        volumes.run('mkfs.ext4', '-q', volume.device)
        # Its number of inodes fits no more.
        with open(volume.device, 'r+b') as device:
            device.seek(1024 + 0x28)
            device.write(bytes([255, 255, 255, 127]))
        error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                  self.start(), volume)
        self.assertIn('its ext4 file system can not be mounted', str(error))
        self.assertNotIn(CONF.docker.mounts_path, str(error))
