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

import hashlib
import pathlib
import subprocess
from typing import Any

import fixtures
from os_brick import privileged as brick

from nova_docker.conf import CONF
from nova_docker import privsep
from nova_docker.tests import base as tests
from nova_docker.tests.functional import privileged
from nova_docker.tests.functional.volumes import base
from nova_docker.tests.kernel import targets

MIB = base.MIB


def sessions() -> list[str]:
    """Return the sessions of iSCSI that this host has."""
    found = pathlib.Path('/sys/class/iscsi_session')
    return sorted(each.name for each in found.glob('*'))


def paths() -> list[str]:
    """Return what os-brick may connect and has to disconnect."""
    found = [each.parent.parent.name
             for each in pathlib.Path('/sys/block').glob('*/dm/uuid')
             if each.read_text().startswith('mpath-')]
    controllers = pathlib.Path('/sys/class/nvme').glob('*')
    return [*sessions(), *found, *(each.name for each in controllers)]


class Cable:
    """The way to a server of this machine, which can be cut.

    :param port: the server's
    :param address: the only one that is cut off
    """

    def __init__(self, port: int, address: str = '127.0.0.0/8') -> None:
        self._rule = ('INPUT', '--in-interface', 'lo', '--protocol', 'tcp',
                      '--destination', address, '--dport', f'{port}',
                      '--jump', 'DROP')
        self._is_cut = False

    def cut(self) -> None:
        """Let nothing through any more."""
        base.run('iptables', '--wait', '--insert', *self._rule)
        self._is_cut = True

    def mend(self) -> None:
        """Undo that; can be run again."""
        if self._is_cut:
            base.run('iptables', '--wait', '--delete', *self._rule)
            self._is_cut = False


class IscsiVolume(base.Volume):
    """A volume that is the LUN of a target.

    :param portals: of the target, each of which is a path to it
    """

    def __init__(self, path: pathlib.Path, size: int = 64,
                 portals: tuple[str, ...] = ('127.0.0.1:3260',)) -> None:
        super().__init__(path, size)
        self.target = targets.Iscsi(self.id, self.device, portals)
        self.connection['driver_volume_type'] = 'iscsi'
        self.connection['data'] = {
            'target_discovered': False, 'target_lun': 0,
            'target_iqn': self.target.iqn, 'target_portal': portals[0],
            'target_luns': [0] * len(portals),
            'target_iqns': [self.target.iqn] * len(portals),
            'target_portals': [*portals], 'access_mode': 'rw'}

    def remove(self) -> None:
        """Take the target away, and what it exports."""
        self.target.remove()
        super().remove()


class NvmeVolume(base.Volume):
    """A volume that is the namespace of a subsystem."""

    def __init__(self, path: pathlib.Path, size: int = 64) -> None:
        super().__init__(path, size)
        self.target = targets.Nvme(self.id, self.device)
        self.connection['driver_volume_type'] = 'nvmeof'
        self.connection['data'] = {
            'target_nqn': self.target.nqn, 'vol_uuid': self.id,
            'portals': [(self.target.address, self.target.port, 'tcp')],
            'ns_id': 1, 'access_mode': 'rw'}

    def remove(self) -> None:
        """Take the subsystem away, and what it exports."""
        self.target.remove()
        super().remove()


class NfsVolume(base.Volume):
    """A volume that is a file on a share.

    :param options: to mount the share with
    """

    def __init__(self, path: pathlib.Path, size: int = 64,
                 options: str = '') -> None:
        super().__init__(path, size)
        super().remove()
        self.target = targets.Nfs(path.parent)
        self.connection['driver_volume_type'] = 'nfs'
        self.connection['data'] = {'export': self.target.export,
                                   'name': path.name, 'options': options}
        #: Where os-brick mounts it.
        self.share = pathlib.Path(CONF.state_path, 'mnt', hashlib.md5(
            self.target.export.encode(), usedforsecurity=False).hexdigest())

    def is_open(self) -> bool:
        """Whether it has a device."""
        return f'{self.share / self.file.name}' in base.run(
            'losetup', '--list', '--output', 'BACK-FILE')

    def remove(self) -> None:
        """Unmount the share, which os-brick leaves for the next volume."""
        tests.wait_until(lambda: not self.is_open(), 'its device is gone')
        subprocess.run(['umount', self.share], check=False)
        self.target.remove()


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

    def make_iscsi(self, size: int = 64, *portals: str) -> IscsiVolume:
        """Return a volume of a target, which goes with the test."""
        made = IscsiVolume(self._file(), size, portals or ('127.0.0.1:3260',))
        self._made.append(made)
        return made

    def make_nvme(self, size: int = 64) -> NvmeVolume:
        """Return a volume of a subsystem, which goes with the test."""
        made = NvmeVolume(self._file(), size)
        self._made.append(made)
        return made

    def make_nfs(self, size: int = 64, options: str = '') -> NfsVolume:
        """Return a volume on a share, which goes with the test."""
        made = NfsVolume(self._file(), size, options)
        self._made.append(made)
        return made

    def _file(self) -> pathlib.Path:
        return self.directory / f'volume-{len(self._made)}'

    def assert_nothing_left(self, instance: Any,
                            *volumes: base.Volume) -> None:
        """See that no path to storage is left either."""
        super().assert_nothing_left(instance, *volumes)
        self.assertEqual([], paths())
