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

"""How a share of each protocol is mounted."""

from __future__ import annotations

from typing import Any
from unittest import mock

from oslo_concurrency import processutils

from nova import exception
from nova import objects
from nova_docker.tests import base
from nova_docker.volumes import propagate
from nova_docker.volumes import shares

_UUID = 'b6a0ac3e-2e6b-4a0a-9b52-6b8b52d9c7c0'


def _share(**fields: Any) -> objects.ShareMapping:
    return objects.ShareMapping(**{
        'instance_uuid': _UUID, 'share_id': _UUID, 'tag': 'data', **fields})


class ProtocolsTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.points = mock.create_autospec(propagate.Propagation,
                                           instance=True)
        self.shares = shares.Shares(self.points)
        self.nfs = _share(share_proto='NFS', export_location='srv:/data')
        self.cephfs = _share(
            share_proto='CEPHFS', export_location='10.0.0.1:6789:/volumes/x',
            access_to='nova-1', access_key='c2VjcmV0==')

    def arguments(self, share: objects.ShareMapping) -> tuple[Any, ...]:
        self.shares.mount(share)
        return tuple(self.points.mount.call_args.args)

    def test_nfs(self) -> None:
        self.assertEqual(
            (_UUID, propagate.Kind.SHARES, 'data', 'nfs', 'srv:/data', []),
            self.arguments(self.nfs))
        self.flags(nfs_mount_options='vers=4.2,hard', group='docker')
        self.assertEqual(['vers=4.2', 'hard'], self.arguments(self.nfs)[-1])

    def test_nfs_of_this_host(self) -> None:
        """A directory below, and none that only begins in the same way."""
        self.flags(local_exports=['srv:/data'], group='docker')
        found = [self.arguments(_share(share_proto='NFS',
                                       export_location=location))[3:]
                 for location in ('srv:/data/x', 'srv:/database/x',
                                  'other:/data/x', 'srv:/data',
                                  'srv:/data/../etc')]
        self.assertEqual(('bind', '/data/x', []), found[0])
        self.assertEqual(['nfs'] * 4, [kind for kind, *_rest in found[1:]])

    def test_cephfs(self) -> None:
        self.flags(ceph_mount_options='noatime', group='docker')
        self.assertEqual(
            ('ceph', '10.0.0.1:6789:/volumes/x',
             ['noatime', 'name=nova-1', 'secret=c2VjcmV0==']),
            self.arguments(self.cephfs)[3:])

    def test_no_password_in_an_error(self) -> None:
        self.points.mount.side_effect = processutils.ProcessExecutionError(
            stderr='mount error 13 =\n Permission denied\n',
            cmd='mount -o secret=c2VjcmV0==')
        error = self.assertRaises(exception.ShareMountError,
                                  self.shares.mount, self.cephfs)
        self.assertIn('mount error 13 = Permission denied', str(error))
        self.assertNotIn('c2VjcmV0', str(error))

    def test_any_other(self) -> None:
        """Nova's field refuses it, but knows more than this driver may."""
        with mock.patch.object(shares, 'PROTOCOLS', {}):
            self.assertRaises(exception.ShareProtocolNotSupported,
                              self.shares.mount, self.nfs)
