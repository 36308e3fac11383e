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

"""Servers of this machine's own kernel, which export storage on loopback."""

from __future__ import annotations

import pathlib

from nova_docker.tests.functional.volumes import base as volumes

_CONFIG = pathlib.Path('/sys/kernel/config')
_ATTRIBUTES = {'authentication': '0', 'generate_node_acls': '1',
               'cache_dynamic_acls': '1', 'demo_mode_write_protect': '0'}


class Iscsi:
    """A target of LIO with one LUN.

    https://docs.kernel.org/target/scripts.html

    :param name: a unique one
    :param device: what it exports
    :param portals: addresses and ports
    """

    def __init__(self, name: str, device: str,
                 portals: tuple[str, ...] = ('127.0.0.1:3260',)) -> None:
        self.iqn = f'iqn.2010-10.org.openstack:{name}'
        self.portals = portals
        self._hba = _CONFIG / 'target/core/iblock_0'
        self._store = self._hba / name
        self._target = _CONFIG / 'target/iscsi' / self.iqn
        self._group = self._target / 'tpgt_1'
        self._export(name, device)

    def _export(self, name: str, device: str) -> None:
        self._store.mkdir(parents=True)
        (self._store / 'control').write_text(f'udev_path={device}')
        (self._store / 'enable').write_text('1')
        (self._store / 'wwn/vpd_unit_serial').write_text(name)
        lun = self._group / 'lun/lun_0'
        lun.mkdir(parents=True)
        (lun / 'store').symlink_to(self._store)
        for portal in self.portals:
            (self._group / 'np' / portal).mkdir()
        for key, value in _ATTRIBUTES.items():
            (self._group / 'attrib' / key).write_text(value)
        (self._group / 'enable').write_text('1')

    def remove(self) -> None:
        """Take the target away, whoever is connected to it."""
        (self._group / 'enable').write_text('0')
        for portal in self.portals:
            (self._group / 'np' / portal).rmdir()
        lun = self._group / 'lun/lun_0'
        (lun / 'store').unlink()
        for directory in (lun, self._group, self._target, self._store):
            directory.rmdir()


class Nvme:
    """A subsystem of NVMe over TCP with one namespace.

    :param name: a unique one, which is a UUID
    :param device: what it exports
    """

    address, port = '127.0.0.1', '4420'

    def __init__(self, name: str, device: str) -> None:
        self.nqn = f'nqn.2014-08.org.openstack:{name}'
        self._subsystem = _CONFIG / 'nvmet/subsystems' / self.nqn
        self._namespace = self._subsystem / 'namespaces/1'
        self._port = _CONFIG / 'nvmet/ports/1'
        self._namespace.mkdir(parents=True)
        self._port.mkdir()
        for file, content in {
                self._subsystem / 'attr_allow_any_host': '1',
                self._namespace / 'device_path': device,
                self._namespace / 'device_uuid': name,
                self._namespace / 'enable': '1',
                self._port / 'addr_adrfam': 'ipv4',
                self._port / 'addr_trtype': 'tcp',
                self._port / 'addr_traddr': self.address,
                self._port / 'addr_trsvcid': self.port}.items():
            file.write_text(content)
        self._link.symlink_to(self._subsystem)

    @property
    def _link(self) -> pathlib.Path:
        return self._port / 'subsystems' / self.nqn

    def remove(self) -> None:
        """Take the subsystem away, whoever is connected to it."""
        self._link.unlink()
        for directory in (self._port, self._namespace, self._subsystem):
            directory.rmdir()


class Nfs:
    """A directory that the server of NFS exports."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.export = f'127.0.0.1:{directory}'
        volumes.run('exportfs', '-i', '-o',
                    'rw,sync,no_root_squash,no_subtree_check,fsid=7',
                    self.export)

    def remove(self) -> None:
        """Export it no more."""
        volumes.run('exportfs', '-u', self.export)
