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

"""Volumes on a kernel that has every kind of storage, with real daemons."""

from __future__ import annotations

import pathlib
from typing import Any

import fixtures
from os_brick import privileged as brick

from nova_docker import privsep
from nova_docker.tests.functional import privileged
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.kernel import targets

MIB = base.MIB


def sessions() -> list[str]:
    """Return the sessions of iSCSI that this host has."""
    found = pathlib.Path('/sys/class/iscsi_session')
    return sorted(each.name for each in found.glob('*'))


class IscsiVolume(base.Volume):
    """A volume that is the LUN of a target."""

    def __init__(self, path: pathlib.Path, size: int = 64) -> None:
        super().__init__(path, size)
        self.target = targets.Iscsi(self.id, self.device)
        self.connection['driver_volume_type'] = 'iscsi'
        self.connection['data'] = {
            'target_discovered': False, 'target_lun': 0,
            'target_iqn': self.target.iqn,
            'target_portal': self.target.portals[0], 'access_mode': 'rw'}

    def remove(self) -> None:
        """Take the target away, and what it exports."""
        self.target.remove()
        super().remove()


class KernelCase(base.VolumesTestCase):
    """A test in which root's acts are done by daemons, as on a host."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        privileged.use(cls, privsep.mount_pctxt, 'docker_mount_privileged')
        privileged.use(cls, brick.default, 'privsep_osbrick')

    def setUp(self) -> None:
        super().setUp()
        # os-brick has locks between processes.
        self.flags(lock_path=self.useFixture(fixtures.TempDir()).path,
                   group='oslo_concurrency')
        for context in (privsep.mount_pctxt, brick.default):
            self.useFixture(fixtures.MockPatchObject(
                context, 'client_mode', True))

    def make_iscsi(self, size: int = 64) -> IscsiVolume:
        """Return a volume of a target, which goes with the test."""
        made = IscsiVolume(self.directory / f'iscsi-{len(self._made)}', size)
        self._made.append(made)
        return made

    def assert_nothing_left(self, instance: Any,
                            *volumes: base.Volume) -> None:
        """See that no session is left either."""
        super().assert_nothing_left(instance, *volumes)
        self.assertEqual([], sessions())
