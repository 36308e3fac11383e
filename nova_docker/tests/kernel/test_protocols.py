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

"""Volumes by the protocols of storage, each through os-brick's connector."""

from __future__ import annotations

import hashlib
import pathlib
import secrets
import subprocess
from typing import Any
import uuid

from nova import objects
from nova_docker.conf import CONF
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.kernel import base


class ProtocolsTestCase(base.KernelCase):
    """Attached, written to, detached; and again, with the same bytes."""

    def test_iscsi(self) -> None:
        volume = self.make_iscsi()
        instance = self._check(volume.connection)
        self.assert_nothing_left(instance, volume)

    def test_nfs(self) -> None:
        """A file on a share of this machine's own server."""
        name = f'volume-{uuid.uuid4()}'
        file = self.directory / name
        with file.open('wb') as content:
            content.truncate(64 * base.MIB)
        export = f'127.0.0.1:{self.directory}'
        volumes.run('exportfs', '-i', '-o',
                    'rw,sync,no_root_squash,no_subtree_check,fsid=7', export)
        self.addCleanup(volumes.run, 'exportfs', '-u', export)
        share = pathlib.Path(CONF.state_path, 'mnt', hashlib.md5(
            export.encode(), usedforsecurity=False).hexdigest())
        # os-brick leaves it mounted, for the next volume on it.
        self.addCleanup(subprocess.run, ['umount', share], check=False)
        instance = self._check({
            'driver_volume_type': 'nfs', 'serial': str(uuid.uuid4()),
            'data': {'export': export, 'name': name}})
        self.assert_nothing_left(instance)
        self.assertRegex(volumes.run('findmnt', '-n', '-o', 'FSTYPE', share),
                         'nfs')
        tests.wait_until(
            lambda: str(file) not in volumes.run('losetup', '--list'),
            'its device is gone')

    def _check(self, connection: dict[str, Any]) -> objects.Instance:
        instance, data = self.start(), secrets.token_hex(1 << 18)
        self.attachments.attach(self.context, instance, connection, 'vdb')
        (self.host_path(instance) / 'file').write_text(data)
        self.attachments.detach(instance, connection)
        self.assertEqual('', self.inside(instance, 'ls', '/volumes'))
        self.attachments.attach(self.context, instance, connection, 'vdb')
        self.assertEqual(data, self.inside(instance, 'cat',
                                           '/volumes/vdb/file'))
        self.attachments.detach(instance, connection)
        return instance
