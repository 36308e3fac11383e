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
import secrets

from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.kernel import base

#: Two paths to one target.
_PORTALS = ('127.0.0.1:3260', '127.0.0.2:3260')


class ProtocolsTestCase(base.KernelCase):
    """Attached, written to, detached; and again, with the same bytes."""

    def test_iscsi(self) -> None:
        self._check(self.make_iscsi(), size=256)

    def test_iscsi_with_multipath(self) -> None:
        self.flags(volume_use_multipath=True, group='docker')
        self._check(self.make_iscsi(64, *_PORTALS), size=256)

    def test_a_path_that_ends(self) -> None:
        """The other one serves."""
        self.flags(volume_use_multipath=True, group='docker')
        instance = self.start()
        volume = self.make_iscsi(64, *_PORTALS)
        self.attach(instance, volume)
        self.assertEqual(2, len(base.sessions()))
        cable = base.Cable(3260, '127.0.0.2')
        self.addCleanup(cable.mend)
        cable.cut()
        self.inside(instance, 'sh', '-c',
                    'echo words > /volumes/vdb/file; sync')
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)
        cable.mend()
        self.attach(instance, volume)
        self.assertEqual('words\n', self.inside(instance, 'cat',
                                                '/volumes/vdb/file'))
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def test_nvme(self) -> None:
        self._check(self.make_nvme(), size=256)

    def test_nfs(self) -> None:
        """A file on a share, which stays mounted for the next one."""
        volume = self.make_nfs()
        self._check(volume)
        self.assertRegex(volumes.run(
            'findmnt', '-n', '-o', 'FSTYPE', f'{volume.share}'), 'nfs')

    def _check(self, volume: volumes.Volume, size: int = 0) -> None:
        """See that a volume lives.

        :param size: that it gets while it is attached, in MiB, if it can
        """
        instance, data = self.start(), secrets.token_hex(1 << 18)
        self.attach(instance, volume)
        (self.host_path(instance) / 'file').write_text(data)
        if size:
            self.extend(instance, volume, size)
        self.detach(instance, volume)
        self.assertEqual('', self.inside(instance, 'ls', '/volumes'))
        self.assert_nothing_left(instance, volume)
        self.attach(instance, volume)
        self.assertEqual(hashlib.sha256(data.encode()).hexdigest(),
                         self.file_digest(instance, '/volumes/vdb/file'))
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)
