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

"""Cinder's storage here: a file for each volume, a loop device while used.

cinder-volume loads it from a copy (see `openstack/cinder.py`). What it gives
to Nova is os-brick's simplest connection, `local`: a path to a block device.
The kernel needs nothing for it but loop devices. A production cloud has other
storage: a snapshot of a volume in use is a plain copy of a changing file.
"""

import json
import os
import pathlib
import shutil
from typing import Any
from typing import BinaryIO

from cinder.image import image_utils
from cinder.volume import driver
from cinder.volume import volume_utils
from oslo_config import cfg
from oslo_utils import units

CONF = cfg.CONF

#: Volumes of any type are in either. With a type for each of them a volume
#: moves when it gets the other type; its files are in the same directory.
POOLS = ('files', 'more-files')


class _Pieces:
    """A file in pieces that Glance takes.

    Under uWSGI it refuses a mebibyte, which is what its client reads and
    sends at once.
    """

    LARGEST = 64 * units.Ki

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self.LARGEST))


class FileDriver(driver.VolumeDriver):
    """Volumes are sparse files below cinder-volume's state directory."""

    VERSION = '1.0'

    @property
    def _files(self) -> pathlib.Path:
        # As the kernel names the files behind loop devices.
        return pathlib.Path(CONF.state_path, 'volumes').resolve()

    @property
    def _links(self) -> pathlib.Path:
        return pathlib.Path(CONF.state_path, 'devices')

    def check_for_setup_error(self) -> None:
        for directory in (self._files, self._links):
            directory.mkdir(exist_ok=True)
        self._devices()

    def local_path(self, volume: Any) -> str:
        return str(self._files / volume.name)

    # Volumes

    def create_volume(self, volume: Any) -> None:
        self._resize(volume, volume.size)

    def delete_volume(self, volume: Any) -> None:
        """Delete a volume; its file may be gone."""
        self._disconnect(volume)
        self._file(volume).unlink(missing_ok=True)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        self._copy(self._file(src_vref), self._file(volume))
        self._resize(volume, volume.size)

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Make it larger, also while it is in use."""
        self._resize(volume, new_size)
        for device in self._devices(self._file(volume)):
            self._losetup('--set-capacity', device)

    # Snapshots

    def create_snapshot(self, snapshot: Any) -> None:
        self._copy(self._file(snapshot.volume), self._file(snapshot))

    def delete_snapshot(self, snapshot: Any) -> None:
        self._file(snapshot).unlink(missing_ok=True)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self._copy(self._file(snapshot), self._file(volume))
        self._resize(volume, volume.size)

    def revert_to_snapshot(self, context: Any, volume: Any,
                           snapshot: Any) -> None:
        self._copy(self._file(snapshot), self._file(volume))
        self._resize(volume, volume.size)

    # Images

    def copy_image_to_volume(self, context: Any, volume: Any,
                             image_service: Any, image_id: str,
                             disable_sparse: bool = False) -> None:
        image_utils.fetch_to_raw(
            context, image_service, image_id, self.local_path(volume),
            self.configuration.volume_dd_blocksize, size=volume.size,
            run_as_root=False, disable_sparse=disable_sparse)
        # The file is as large as the image by now.
        self._resize(volume, volume.size)

    def copy_volume_to_image(self, context: Any, volume: Any,
                             image_service: Any, image_meta: Any) -> None:
        with self._file(volume).open('rb') as file:
            volume_utils.upload_volume(
                context, image_service, image_meta, self.local_path(volume),
                volume, run_as_root=False, volume_fd=_Pieces(file))

    # Connections

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Have the device of a volume in use, which a reboot takes away."""
        self._connect(volume)

    def create_export(self, context: Any, volume: Any,
                      connector: Any) -> None:
        """Nothing: `initialize_connection` does it."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Nothing: `terminate_connection` does it."""

    def initialize_connection(self, volume: Any, connector: Any,
                              **kwargs: Any) -> dict[str, Any]:
        self._connect(volume)
        return {'driver_volume_type': 'local',
                'data': {'device_path': str(self._link(volume))}}

    def terminate_connection(self, volume: Any, connector: Any,
                             **kwargs: Any) -> bool:
        """Take the device away with its last user.

        :returns: whether others use it
        """
        users = [each for each in volume.volume_attachment if each.connector]
        if connector and len(users) > 1:
            return True
        self._disconnect(volume)
        return False

    # Statistics

    def _update_volume_stats(self) -> None:
        disk = shutil.disk_usage(self._files)
        name = self.configuration.safe_get('volume_backend_name')
        provisioned = sum(path.stat().st_size
                          for path in self._files.iterdir())
        self._stats = {
            'volume_backend_name': name,
            'vendor_name': 'dockenstack',
            'driver_version': self.VERSION,
            'storage_protocol': 'local',
            'pools': [{
                'pool_name': pool,
                'total_capacity_gb': disk.total / units.Gi,
                'free_capacity_gb': disk.free / units.Gi,
                'provisioned_capacity_gb': provisioned / units.Gi,
                'max_over_subscription_ratio':
                    self.configuration.max_over_subscription_ratio,
                'reserved_percentage': self.configuration.reserved_percentage,
                'thin_provisioning_support': True,
                'multiattach': True,
                'online_extend_support': True,
                'QoS_support': False,
            } for pool in POOLS],
        }

    # Files

    def _file(self, entity: Any) -> pathlib.Path:
        """The file of a volume or of a snapshot."""
        return self._files / entity.name

    def _link(self, volume: Any) -> pathlib.Path:
        """What leads to a volume's device.

        Nova keeps this path for the life of an attachment. The kernel's
        number for the device is another one after each reboot, and a volume
        that has moved has the id of another.
        """
        return self._links / volume.name

    def _resize(self, volume: Any, size: int) -> None:
        path = self._file(volume)
        path.touch(mode=0o600)
        os.truncate(path, size * units.Gi)

    def _copy(self, source: pathlib.Path, target: pathlib.Path) -> None:
        self._execute('cp', '--sparse=always', '--reflink=auto',
                      str(source), str(target))

    # Devices

    def _connect(self, volume: Any) -> None:
        """Have the device of a volume, and the link. May be called again."""
        # Two devices on one file would not see each other's writes.
        device = self._losetup('--nooverlap', '--find', '--show',
                               self.local_path(volume)).strip()
        link = self._link(volume)
        draft = link.with_suffix('.new')
        draft.unlink(missing_ok=True)
        draft.symlink_to(device)
        draft.replace(link)

    def _disconnect(self, volume: Any) -> None:
        """Undo `_connect`. May be called again.

        A device that is still mounted goes when it is unmounted.
        """
        for device in self._devices(self._file(volume)):
            self._losetup('--detach', device)
        self._link(volume).unlink(missing_ok=True)

    def _devices(self, path: pathlib.Path | None = None) -> list[str]:
        """The loop devices of a file, or all."""
        found = self._losetup('--list', '--json', '--output', 'NAME,BACK-FILE')
        if not found.strip():
            return []
        return [each['name'] for each in json.loads(found)['loopdevices']
                if path is None or each['back-file'] == str(path)]

    def _losetup(self, *arguments: str) -> str:
        output, _errors = self._execute('losetup', *arguments,
                                        run_as_root=True)
        return str(output)
