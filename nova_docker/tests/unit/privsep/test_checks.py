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

"""Privileged functions accept nothing but what is ours."""

from collections.abc import Callable
from typing import Any
import unittest

from nova_docker.privsep import checks


class ChecksTestCase(unittest.TestCase):
    """What passes, and what comes of the rest."""

    def assert_refuses(self, check: Callable[[Any], Any],
                       *values: Any) -> None:
        """Fail unless the check refuses each of the values."""
        for value in values:
            with (self.subTest(value=value), self.assertRaises(ValueError)):
                check(value)

    def test_names_of_ours_pass(self) -> None:
        self.assertEqual('tap0f8fad5b-d9', checks.host_end('tap0f8fad5b-d9'))
        self.assertEqual('ndk0f8fad5b-d9',
                         checks.inside_end('ndk0f8fad5b-d9'))
        self.assertEqual('qbr0f8fad5b-d9',
                         checks.hybrid_bridge('qbr0f8fad5b-d9'))

    def test_other_names_do_not(self) -> None:
        self.assert_refuses(
            checks.host_end, 'eth0', 'lo', 'ndk0f8fad5b-d9', '', None,
            'tap0f8fad5b-d9\n', 'tap0f8fad5b-d9a', 'tap../../../../x',
            b'tap0f8fad5b-d9', ['tap0f8fad5b-d9'])
        self.assert_refuses(checks.inside_end, 'eth0', 'tap0f8fad5b-d9')
        self.assert_refuses(checks.hybrid_bridge, 'br-int', 'docker0')

    def test_mount_points(self) -> None:
        directory = '/nonexistent/b6a0ac3e-2e6b-4a0a-9b52-6b8b52d9c7c0'
        for path in ('shares/data', 'volumes/sdb', 'shares/a.b-c_d'):
            self.assertEqual(f'{directory}/{path}',
                             checks.mount_point(f'{directory}/{path}'))
        self.assert_refuses(
            checks.mount_point, '/etc', '/', 'shares/data', directory,
            f'{directory}/shares', f'{directory}/shares/', '',
            f'{directory}/shares/a/b', f'{directory}/shares/..',
            f'{directory}/shares/../../etc', f'{directory}/other/data',
            f'/proc/self{directory}/shares/data')

    def test_checkpoints(self) -> None:
        directory = '/nonexistent/containers/' + '5f2a' * 16
        path = f'{directory}/checkpoints/nova'
        self.assertEqual(path, checks.checkpoint(path))
        self.assert_refuses(
            checks.checkpoint, directory, f'{directory}/checkpoints', '',
            f'{directory}/checkpoints/..', f'{path}/..', f'{path}/x',
            f'/proc/self/cwd{path}', path.replace('5f', '5F'), f'{path}\n',
            path.removeprefix('/'))

    def test_shares_of_volumes(self) -> None:
        share = '/var/lib/nova/mnt/d41d8cd98f00b204e9800998ecf8427e'
        self.assertEqual(share, checks.share(share))
        self.assert_refuses(
            checks.share, '/home', '/mnt/home', f'{share}/volume', '',
            '/var/lib/nova/mnt', share.upper(), f'{share}\n',
            f'/var/../{share}', share.removeprefix('/'))

    def test_file_systems(self) -> None:
        for each in (('nfs', 'server:/data', ['vers=4.2', 'hard']),
                     ('ceph', '10.0.0.1:6789:/x', ['secret=c2VjcmV0==']),
                     ('ext4', '/dev/sdb', []), ('bind', '/usr', [])):
            checks.file_system(*each)
        for each in (('proc', 'proc', []), ('nfs', '', []),
                     ('nfs', '--bind', []), ('ext4', '/etc', ['bind']),
                     ('ext4', '/etc', ['ro,rbind']), ('nfs', 'a:/', ['']),
                     ('bind', '/usr', ['ro']), ('bind', 'usr', []),
                     ('bind', '/usr/../etc', []), ('bind', '/dev/fd', []),
                     ('nfs', 'a:/', ['remount']), ('nfs', 'a:/', ['x y'])):
            self.assertRaises(ValueError, checks.file_system, *each)

    def test_process(self) -> None:
        self.assertEqual(2, checks.process(2))
        self.assert_refuses(checks.process, 1, 0, -5, True, '2', None, 2.0,
                            '2/../1')
