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

"""Manila's storage here: a directory for each share.

manila-share loads it from a copy (see `openstack/manila.py`). What it exports
has the form of an NFS export of this machine, and is the directory itself to
whoever runs here: the kernel may lack a server and a client of NFS.
"""

import pathlib
import shutil
from typing import Any

from manila import exception
from manila.share import driver
from oslo_config import cfg
from oslo_utils import units

CONF = cfg.CONF


class DirectoryDriver(driver.ExecuteMixin, driver.ShareDriver):
    """Shares are directories below manila-share's state directory.

    Their sizes are counted, and not enforced.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(False, *args, **kwargs)

    @property
    def _root(self) -> pathlib.Path:
        return pathlib.Path(CONF.state_path, 'shares')

    def _directory(self, share: Any) -> pathlib.Path:
        return self._root / share['id']

    def _exports(self, share: Any) -> list[dict[str, Any]]:
        return [{'path': f'{CONF.my_ip}:{self._directory(share)}',
                 'is_admin_only': False, 'metadata': {}}]

    def check_for_setup_error(self) -> None:
        self._root.mkdir(exist_ok=True)

    def create_share(self, context: Any, share: Any,
                     share_server: Any = None) -> list[dict[str, Any]]:
        self._directory(share).mkdir(exist_ok=True)
        # Whoever may have it decides who may write to it.
        self._directory(share).chmod(0o777)
        return self._exports(share)

    def delete_share(self, context: Any, share: Any,
                     share_server: Any = None) -> None:
        """Delete a share, with files of any user's; it may be gone."""
        self._execute('rm', '-rf', '--', str(self._directory(share)),
                      run_as_root=True)

    def ensure_shares(self, context: Any,
                      shares: Any) -> dict[str, dict[str, Any]]:
        return {share['id']: {'export_locations': self._exports(share)}
                for share in shares}

    def update_access(self, context: Any, share: Any, access_rules: Any,
                      add_rules: Any, delete_rules: Any, update_rules: Any,
                      share_server: Any = None) -> None:
        """Take rules for addresses: all that is here has the same."""
        for rule in add_rules or access_rules:
            if rule['access_type'] != 'ip':
                raise exception.InvalidShareAccess(
                    reason='a directory knows addresses alone')

    def extend_share(self, share: Any, new_size: int,
                     share_server: Any = None) -> None:
        """Nothing: no size is enforced."""

    def shrink_share(self, share: Any, new_size: int,
                     share_server: Any = None) -> None:
        """Nothing: no size is enforced."""

    def _update_share_stats(self, data: Any = None) -> None:
        disk = shutil.disk_usage(self._root)
        super()._update_share_stats({
            'share_backend_name':
                self.configuration.safe_get('share_backend_name'),
            'vendor_name': 'dockenstack',
            'driver_version': '1.0',
            'storage_protocol': 'NFS',
            'total_capacity_gb': disk.total / units.Gi,
            'free_capacity_gb': disk.free / units.Gi,
            'reserved_percentage': 0,
        })
