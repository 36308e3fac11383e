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

"""What an image has and says, once it is on a volume."""

from __future__ import annotations

import os
import tarfile
from typing import Any

import fixtures
from nova.network import model

from nova import exception
from nova_docker import errors
from nova_docker.instances import files
from nova_docker import names
from nova_docker import privsep
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional import privileged
from nova_docker.tests.functional.rootvolume import base
from nova_docker.volumes import propagate

KEY = 'ssh-ed25519 AAAAC3 me'
#: CAP_NET_RAW, permitted and effective, as the kernel keeps it.
_NET_RAW = bytes.fromhex('0100000200200000000000000000000000000000').decode(
    'utf-8', 'surrogateescape')


class ImageTestCase(base.RootTestCase):
    """What the image has, and what it says of how it is run."""

    def test_the_volume_needs_it_no_more(self) -> None:
        self.use_image(
            functional.Entry('etc/passwd', 'root:x:0:0::/root:\n'
                                     'me:x:70:71::/home/me:\n'),
            functional.Entry('etc/group', 'mine:x:71:\nalso:x:72:you,me\n'),
            functional.directory('home/me', uid=70, gid=71),
            functional.program('bin/say', 'id; pwd; echo $MINE $HOME $1; '
                         'exec sleep 1000'),
            changes=('ENTRYPOINT ["say"]', 'CMD ["it"]', 'USER me',
                     'WORKDIR /home/me/work', 'ENV MINE=yes'))
        volume = self.make_volume()
        self.delete(self.boot(volume))
        self._remove_images()
        self._images.clear()
        instance = self.boot(volume)
        said = self.wait_for_log(instance, ' it')
        self.assertIn('uid=70(me) gid=71(mine) groups=71(mine),72(also)',
                      said.replace('groups=72(also),71(mine)',
                                   'groups=71(mine),72(also)'))
        self.assertIn('/home/me/work', said)
        self.assertIn('yes /home/me it', said)

    def test_owners_links_and_capabilities_survive(self) -> None:
        # The engine has all of it in the header of each name.
        fields: dict[str, Any] = {
            'uid': 70, 'gid': 71, 'mode': 0o755,
            'pax_headers': {'SCHILY.xattr.security.capability': _NET_RAW}}
        self.use_image(
            functional.Entry('bin/first', b'#!/bin/sh\n', **fields),
            functional.Entry('bin/second', type=tarfile.LNKTYPE,
                       linkname='bin/first', **fields))
        instance = self.boot(self.make_volume(), start=False)
        first, second = (self.place(instance) / 'root/bin' / name
                         for name in ('first', 'second'))
        found = first.stat()
        self.assertEqual((70, 71), (found.st_uid, found.st_gid))
        self.assertTrue(first.samefile(second))
        self.assertEqual(_NET_RAW.encode('utf-8', 'surrogateescape'),
                         os.getxattr(first, 'security.capability'))

    def test_programs_may_raise_privileges(self) -> None:
        self.use_image(functional.Entry(
            'bin/raise', functional._BUSYBOX.read_bytes(), mode=0o4755))
        instance = self.boot(self.make_volume())
        flags = self.inside(instance, 'stat', '-c', '%a', '/bin/raise')
        self.assertEqual('4755\n', flags)
        mounted = self.points.find(
            instance.uuid, propagate.Kind.ROOT, 'vda')
        assert mounted is not None
        self.assertNotIn('nosuid', mounted.options)
        self.assertIn('nodev', mounted.options)
        # Nobody else of the host gets at them.
        self.assertEqual(0o700, self.place(instance).parent.stat().st_mode
                         & 0o777)

    def test_without_docker_init(self) -> None:
        self.use_image()
        instance = self.boot(
            self.make_volume(), 'sleep', '1000',
            system_metadata={'image_docker_init': 'false'})
        self.assertEqual(
            'sleep 1000', self.inside(instance, 'cat', '/proc/1/cmdline')
            .replace('\0', ' ').strip())

    def test_a_command_that_is_not_there(self) -> None:
        self.use_image()
        error = self.assertRaises(errors.EngineBadRequest, self.boot,
                                  self.make_volume(), 'nothing')
        self.assertIn("'nothing' does not exist", str(error))

    def test_a_command_that_has_gone(self) -> None:
        self.use_image(functional.program('bin/mine', 'sleep 1000'))
        # A daemon tells it, as under nova-compute.
        privileged.use(type(self), privsep.root_pctxt,
                       'docker_root_privileged')
        self.useFixture(fixtures.MockPatchObject(
            privsep.root_pctxt, 'client_mode', True))
        volume = self.make_volume()
        instance = self.boot(volume, 'mine')
        self.inside(instance, 'sh', '-c', 'echo > /bin/mine; '
                    'chmod 644 /bin/mine')
        self.power.off(instance)
        error = self.assertRaises(exception.InstancePowerOnFailure,
                                  self.power.on, instance,
                                  model.NetworkInfo())
        self.assertIn(
            "the command 'mine' does not exist on the root volume "
            f'{volume.id} or is not executable. Rescue the server', str(error))
        self.assertFalse(self.power.is_running(instance))

    def test_it_gets_a_key_and_files(self) -> None:
        """By way of links that lead where they would in the server."""
        self.use_image(
            functional.directory('var/roothome', mode=0o700),
            functional.symlink('root', '/var/roothome'),
            functional.directory('usr/etc'),
            functional.symlink('opt', '/usr/etc'))
        instance = self.boot(self.make_volume(), key_data=KEY,
                             given=(('/opt/given', b'given'),))
        self.assertEqual(f'{KEY}\n', self.inside(
            instance, 'cat', '/root/.ssh/authorized_keys'))
        self.assertEqual('given', self.inside(
            instance, 'cat', '/usr/etc/given'))
        self.assertEqual('given', files.read(
            self.contents, names.workload(instance.uuid), '/opt/given'))
