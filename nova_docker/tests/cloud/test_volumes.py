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

"""Volumes on servers: there at once, and where they were after anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from openstack import exceptions

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services
from nova_docker.tests.cloud import volumes

#: Writes some data, which is on the volume when it ends.
_WRITE = 'dd if=/dev/urandom of={0}/data bs=1M count=20 2>/dev/null; sync'
_DIGEST = 'sha256sum < {0}/data'
#: The pools of storage of a dockenstack.
_POOLS = {'files', 'more-files'}
_GIB = 1 << 20  # in the KiB of df
#: Seconds; it takes a tenth of one unless the machine is very busy.
_AT_ONCE = 30

#: A partition table with one partition: what no file system begins with.
_PARTITIONED = (bytes(446) + bytes([0x80, 1, 1, 0, 0x83, 3, 32, 64])
                + (2048).to_bytes(4, 'little') + (4096).to_bytes(4, 'little')
                + bytes(48) + b'\x55\xaa')


class AttachTestCase(base.ServerTestCase):
    """A running server, which gets and loses volumes."""

    def test_the_same_bytes_in_another_server(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run(_WRITE.format('/volumes/vdb'))
        digest = self.guest.run(_DIGEST.format('/volumes/vdb'))
        self.server.detach(volume)
        self.guest.run('test ! -e /volumes/vdb')
        volume.wait_until_disconnected()
        other = self.make.server('ssh')
        guest = self.make.login(other)
        other.attach(volume)
        self.assertEqual(digest, guest.run(_DIGEST.format('/volumes/vdb')))
        self.make.delete(other)
        volume.wait_for('available')
        volume.wait_until_disconnected()

    def test_a_process_that_runs_sees_it(self) -> None:
        """At once: it looks ten times a second and says when."""
        self.guest.run(
            '(until touch /volumes/vdb/seen; do sleep 0.1; done; '
            'touch /tmp/seen) >/dev/null 2>&1 &')
        volume = self.make.volume()
        self.server.attach(volume)
        clouds.wait_until(
            lambda: self.guest.run('ls /tmp').split() == ['seen'],
            'the process sees the volume', _AT_ONCE)
        self.guest.run('rm /tmp/seen; test -e /volumes/vdb/seen')
        self.server.detach(volume)

    def test_under_a_tag(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume, tag='data')
        self.guest.run('touch /volumes/data/new')
        # The service remembers what it has said for 15 s.
        clouds.wait_until(lambda: '"data"' in self.guest.run(
            'curl -s http://169.254.169.254/openstack/latest/meta_data.json '
            '|| :'), 'the tag is told')
        self.server.detach(volume)

    def test_grows_while_it_is_used(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run(_WRITE.format('/volumes/vdb'))
        digest = self.guest.run(_DIGEST.format('/volumes/vdb'))
        volume.extend(2)
        size = "df -k /volumes/vdb | awk 'END { print $2 }'"
        clouds.wait_until(lambda: int(self.guest.run(size)) > 1.5 * _GIB,
                          'the file system has grown')
        self.assertEqual(digest,
                         self.guest.run(_DIGEST.format('/volumes/vdb')))
        self.server.detach(volume)

    def test_read_only(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run('echo old > /volumes/vdb/data')
        self.server.detach(volume)
        volume.set_readonly()
        self.server.attach(volume)
        self.assertEqual('old', self.guest.run('cat /volumes/vdb/data'))
        self.assertRaisesRegex(
            AssertionError, 'Read-only', self.guest.run,
            'echo new > /volumes/vdb/data')
        self.server.detach(volume)

    def test_read_only_in_two_servers(self) -> None:
        """By Cinder's flag alone, which no ordinary user's connection has."""
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run('echo old > /volumes/vdb/data')
        self.server.detach(volume)
        volume.set_readonly()
        volume.let_several_have_it()
        other = self.make.server('ssh')
        self.server.attach(volume)
        other.attach(volume, wait='')
        clouds.wait_until(lambda: len(volume.show().attachments) == 2,
                          'both have it')
        for guest in (self.guest, self.make.login(other)):
            clouds.wait_until(
                lambda guest=guest: guest.run(  # type: ignore[misc]
                    'cat /volumes/vdb/data 2>/dev/null || :') == 'old',
                'it is there')
            self.assertRaisesRegex(
                AssertionError, 'Read-only', guest.run,
                'echo new > /volumes/vdb/data')
        self.make.delete(other)
        self.assertEqual('old', self.guest.run('cat /volumes/vdb/data'))
        self.server.detach(volume)

    def test_another_type_moves_it(self) -> None:
        here, there = (self.make.volume_type({'pool_name': pool})
                       for pool in sorted(_POOLS))
        volume = self.make.volume(volume_type=here)
        self._assert_moves(volume, lambda: volume.retype(there))

    def test_an_operator_migrates_it(self) -> None:
        volume = self.make.volume()
        backend, pool = volume.host().split('#')
        [other] = _POOLS - {pool}
        self._assert_moves(
            volume, lambda: volume.migrate(f'{backend}#{other}'))

    def _assert_moves(self, volume: volumes.Volume,
                      move: Callable[[], None]) -> None:
        """Move it to other storage, with its data, under a running server."""
        self.server.attach(volume)
        self.guest.run(_WRITE.format('/volumes/vdb'))
        digest = self.guest.run(_DIGEST.format('/volumes/vdb'))
        before = set(volume.traces())
        move()
        self.assertEqual(digest,
                         self.guest.run(_DIGEST.format('/volumes/vdb')))
        self.guest.run('echo new > /volumes/vdb/new; sync')
        clouds.wait_until(lambda: not before & set(volume.traces()),
                          'nothing is left of it where it was')
        self.server.reboot('HARD')
        self.guest.again().run('test "$(cat /volumes/vdb/new)" = new')
        self.server.detach(volume)
        volume.wait_until_disconnected()

    def test_busy(self) -> None:
        """It stays while a process has a file open, which is named."""
        volume = self.make.volume()
        self.server.attach(volume)
        process = self.guest.run(
            'sleep 1000 </dev/null >/volumes/vdb/open 2>/dev/null & echo $!')
        self.server.detach(volume, wait='')
        self.assertIn('sleep', self.server.explanation('detach_volume'))
        volume.wait_for('in-use')
        self.guest.run(f'test -e /volumes/vdb/open; kill {process}')
        self.server.detach(volume)

    def test_foreign_content_is_refused(self) -> None:
        image = self.make.image(_PARTITIONED + bytes(1 << 20),
                                container_format='bare')
        volume = self.make.volume(image_id=image)
        before = volume.digest()
        self.server.attach(volume, wait='')
        self.assertIn('partition table',
                      self.server.explanation('attach_volume'))
        volume.wait_for('available')
        volume.wait_until_disconnected()
        self.assertEqual(before, volume.digest())
        self.guest.run('test ! -e /volumes/vdb')


class LifeTestCase(base.CloudTestCase):
    """What a server goes through, and its volume with it."""

    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]
    volume: ClassVar[volumes.Volume]
    digest: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.volume = cls.shared.volume()
        cls.server = cls.shared.server(
            'ssh', microversion='2.60',
            metadata={'docker:volume:data': '/srv/data'},
            block_device_mapping_v2=[
                {'uuid': clouds.image_id('ssh'), 'boot_index': 0,
                 'source_type': 'image', 'destination_type': 'local'},
                {'uuid': cls.volume.id, 'boot_index': -1, 'tag': 'data',
                 'source_type': 'volume', 'destination_type': 'volume'}])
        cls.guest = cls.shared.login(cls.server)
        cls.guest.run(_WRITE.format('/volumes/data'))
        cls.digest = cls.guest.run(_DIGEST.format('/volumes/data'))

    def _assert_kept(self) -> None:
        self.assertEqual(self.digest, self.guest.again().run(
            _DIGEST.format('/volumes/data')))
        self.guest.run('touch /volumes/data/new; rm /srv/data/new')
        self.assertEqual('in-use', self.volume.show().status)

    def test_stop_and_start(self) -> None:
        self.server.stop()
        self.server.start()
        self._assert_kept()

    def test_reboot(self) -> None:
        for kind in ('SOFT', 'HARD'):
            self.server.reboot(kind)
            self._assert_kept()

    def test_suspend_and_resume(self) -> None:
        self.server.suspend()
        self.server.resume()
        self._assert_kept()

    def test_rescue_and_unrescue(self) -> None:
        self.server.rescue()
        self.server.unrescue()
        self._assert_kept()

    def test_resize(self) -> None:
        self.server.resize(self.make.flavor({}, ram=192))
        self.server.revert()
        self._assert_kept()

    def test_resize_and_back(self) -> None:
        for flavor in ('m1.tiny', 'm1.nano'):
            self.server.resize(clouds.flavor_id(flavor))
            self.server.confirm()
            self._assert_kept()

    def test_rebuild(self) -> None:
        self.server.rebuild(clouds.image_id('ssh'))
        self._assert_kept()

    def test_shelve_and_unshelve(self) -> None:
        self.server.shelve()
        self.volume.wait_until_disconnected()
        self.server.unshelve()
        self._assert_kept()

    def test_another_volume_comes_while_it_is_shelved(self) -> None:
        self.server.shelve()
        more = self.make.volume()
        self.server.attach(more)
        self.server.unshelve()
        self._assert_kept()
        self.guest.run('touch /volumes/vdc/new')
        self.server.detach(more)

    def test_another_volume_goes_while_it_is_shelved(self) -> None:
        more = self.make.volume()
        self.server.attach(more)
        self.guest.run('echo mine > /volumes/vdc/note')
        self.server.shelve()
        self.server.detach(more)
        self.server.unshelve()
        self._assert_kept()
        self.guest.run('! test -e /volumes/vdc/note')
        self.server.attach(more)
        self.assertEqual('mine', self.guest.run('cat /volumes/vdc/note'))
        self.server.detach(more)

    def test_it_may_not_be_deleted(self) -> None:
        self.assertRaises(
            exceptions.BadRequestException,
            clouds.connection('demo').block_storage.delete_volume,
            self.volume.id)


class OperatorTestCase(base.ServerTestCase):
    alone = True

    def test_nova_compute_is_killed(self) -> None:
        volume = self.make.volume()
        self.server.attach(volume)
        self.guest.run(_WRITE.format('/volumes/vdb'))
        digest = self.guest.run(_DIGEST.format('/volumes/vdb'))
        services.kill('nova-compute')
        try:
            self.guest.run('touch /volumes/vdb/meanwhile')
        finally:
            services.up()
        self.assertEqual(digest,
                         self.guest.run(_DIGEST.format('/volumes/vdb')))
        self.server.detach(volume)
        self.guest.run('test ! -e /volumes/vdb')


class StorageTestCase(base.ServerTestCase):
    """What Cinder makes of a volume has the same bytes."""

    volume: ClassVar[volumes.Volume]
    digest: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.volume = cls.shared.volume()
        cls.server.attach(cls.volume)
        cls.guest.run(_WRITE.format('/volumes/vdb'))
        cls.digest = cls.guest.run(_DIGEST.format('/volumes/vdb'))
        cls.server.detach(cls.volume)

    def _assert_same(self, volume: volumes.Volume) -> None:
        self.server.attach(volume)
        self.assertEqual(self.digest, self.guest.run(
            _DIGEST.format('/volumes/vdb')))
        self.server.detach(volume)

    def test_snapshot(self) -> None:
        snapshot = self.make.volume_snapshot(self.volume)
        self._assert_same(self.make.volume(snapshot_id=snapshot))

    def test_clone(self) -> None:
        self._assert_same(self.make.volume(
            2, source_volume_id=self.volume.id))

    def test_image(self) -> None:
        image = self.make.image_of_volume(self.volume)
        self._assert_same(self.make.volume(image_id=image))
