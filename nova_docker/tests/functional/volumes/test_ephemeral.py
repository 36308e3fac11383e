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

"""Ephemeral disks, which are files of this host."""

from __future__ import annotations

from collections.abc import Iterator
import os
import pathlib
from typing import Any
from typing import ClassVar
from unittest import mock

import fixtures
from nova import exception
from nova.network import model
from oslo_utils import units

from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.images import limits
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import ephemeral


class EphemeralTestCase(base.VolumesTestCase):
    #: As Nova tells of a flavor's ephemeral disk, and of one more.
    devices: ClassVar[dict[str, Any]] = {
        'block_device_mapping': [], 'ephemerals': [
            {'device_name': '/dev/vdb', 'size': 1},
            {'device_name': '/dev/vdc', 'size': 2}]}

    def setUp(self) -> None:
        super().setUp()
        self.instance = self.start()
        self.addCleanup(self.attached.remove, self.instance)
        self.files = pathlib.Path(CONF.state_path, 'ephemeral',
                                  self.instance.uuid)

    def ensure(self, devices: dict[str, Any] | None = None) -> None:
        self.attached.ensure(self.context, self.instance, devices)

    def test_a_life(self) -> None:
        """They are there from the boot to the end, and no longer."""
        for _again in range(2):
            self.ensure(self.devices)
        self.assertEqual('ephemeral0\nephemeral1\n', self.inside(
            self.instance, 'ls', '/volumes'))
        self.inside(self.instance, 'sh', '-c',
                    'echo kept > /volumes/ephemeral0/file')
        self.attached.discard(self.instance)
        self.assertEqual('kept\n', self.inside(
            self.instance, 'cat', '/volumes/ephemeral0/file'))
        self.assertTrue(self.files.exists())
        undo = self.make_destroy()
        for _again in range(2):
            undo(self.instance, model.NetworkInfo())
        self.assertFalse(self.files.exists())
        tests.wait_until(
            lambda: str(self.files) not in base.run('losetup', '--list'),
            'their devices are gone')
        self.assert_nothing_left(self.instance)

    def test_its_size_is_a_limit(self) -> None:
        self.ensure(self.devices)
        for number, size in ((0, 1024), (1, 2048)):
            figures = os.statvfs(self.host_path(
                self.instance, f'ephemeral{number}'))
            found = figures.f_blocks * figures.f_frsize
            self.assertLess(found, size * base.MIB)
            self.assertGreater(found, size * base.MIB * 0.9)
            self.assertLess(
                (self.files / f'ephemeral{number}').stat().st_blocks * 512,
                size * base.MIB // 2)

    def test_after_a_reboot_of_the_host(self) -> None:
        self.ensure(self.devices)
        self.inside(self.instance, 'touch', '/volumes/ephemeral0/file')
        base.run('umount', self.host_path(self.instance, 'ephemeral0'))
        for devices in (None, self.devices):
            self.ensure(devices)
            self.assertEqual('file\n', self.inside(
                self.instance, 'ls', '/volumes/ephemeral0'))

    def test_a_volume_of_its_name(self) -> None:
        """It is refused, so that neither is taken for the other."""
        volume = self.make_volume()
        self.volume_tags = {volume.id: 'ephemeral0'}
        for devices in (None, self.devices):
            self.ensure(devices)
            error = self.assertRaises(errors.UnsuitableVolume, self.attach,
                                      self.instance, volume)
            self.assertIn("its tag 'ephemeral0'", str(error))
        self.assertFalse(self.attached.has_any(self.instance))
        self.volume_tags = {volume.id: 'ephemeral'}
        self.attach(self.instance, volume)
        self.assertEqual('ephemeral\nephemeral0\nephemeral1\n', self.inside(
            self.instance, 'ls', '/volumes'))

    def test_a_volume_that_has_its_name(self) -> None:
        """It was attached when that was allowed, and stays until detached."""
        volume = self.make_volume()
        self.volume_tags = {volume.id: 'ephemeral0'}
        with mock.patch.object(ephemeral, 'is_name', autospec=True,
                               return_value=False):
            self.attach(self.instance, volume)
        base.run('umount', self.host_path(self.instance, 'ephemeral0'))
        self.ensure({'block_device_mapping': [{
            'connection_info': volume.connection,
            'mount_device': '/dev/vdb'}]})
        self.inside(self.instance, 'touch', '/volumes/ephemeral0/file')
        self.assertRaises(errors.UnsuitableVolume,
                          self.attached.refuse_disk_names, self.instance)
        self.detach(self.instance, volume)
        self.assert_nothing_left(self.instance, volume)
        self.attached.refuse_disk_names(self.instance)

    def test_one_that_was_half_made(self) -> None:
        """nova-compute was killed meanwhile."""
        self.files.mkdir(parents=True)
        (self.files / 'new-ephemeral0').write_bytes(b'half')
        self.ensure(self.devices)
        self.inside(self.instance, 'touch', '/volumes/ephemeral0/file')

    def packed(self) -> list[bytes]:
        """Write to both disks, stop the server, and pack them."""
        self.ensure(self.devices)
        self.inside(self.instance, 'sh', '-c',
                    'echo one > /volumes/ephemeral0/file; '
                    'echo two > /volumes/ephemeral1/file')
        self.engine.stop(names.workload(self.instance.uuid), 0)
        return list(self.local.packed(self.instance))

    def test_to_another_host(self) -> None:
        """Which gets what is in them, and their sizes, but no holes."""
        archive = self.packed()
        self.assertLess(sum(len(piece) for piece in archive), 256 * base.MIB)
        there = ephemeral.Ephemeral(
            self.points, self.useFixture(fixtures.TempDir()).path)
        other = self.start()
        self.addCleanup(there.discard, other)
        disks = self.local.names(self.instance)
        there.unpack(other, disks, archive)
        self.assertEqual(disks, there.names(other))
        self.assertEqual(3 * units.Gi, there.size(other))
        there.ensure(other, self.devices)
        self.assertEqual('one\ntwo\n', self.inside(
            other, 'cat', '/volumes/ephemeral0/file',
            '/volumes/ephemeral1/file'))

    def test_they_stay_where_they_are_packed(self) -> None:
        self.packed()
        self.ensure()
        self.engine.start(names.workload(self.instance.uuid))
        self.assertEqual('two\n', self.inside(
            self.instance, 'cat', '/volumes/ephemeral1/file'))

    def test_one_that_is_not_there(self) -> None:
        """Not all are in the archive, or not all of the archive is there."""
        archive = self.packed()
        for disks, pieces in ((['ephemeral0', 'ephemeral7'], archive),
                              (['ephemeral0'], [archive[0][:5000]]),
                              (['ephemeral0'], [])):
            other = self.make_instance()
            error = self.assertRaises(
                exception.InternalError, self.local.unpack, other, disks,
                pieces)
            self.assertIn('can not be written', str(error))
            self.assertFalse((self.files.parent / other.uuid).exists())

    def test_what_comes_is_something_else(self) -> None:
        """Which is found out when all of it is there."""
        def pieces(archive: list[bytes]) -> Iterator[bytes]:
            yield from archive
            raise limits.Unacceptable('its digest is wrong')

        other = self.make_instance()
        self.assertRaises(limits.Unacceptable, self.local.unpack, other,
                          ['ephemeral0'], pieces(self.packed()))
        self.assertFalse((self.files.parent / other.uuid).exists())
