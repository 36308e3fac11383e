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

"""Volumes that are hard to detach: used, or on storage that fails."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent import futures
import os
import pathlib
import subprocess
import sys
from typing import Any
from unittest import mock

import fixtures
from os_brick import exception as brick_exception

from nova import exception
from nova_docker import names
from nova_docker.privsep import holders
from nova_docker.tests import base as tests
from nova_docker.tests.functional import lxcfs
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import connector


class BusyTestCase(base.VolumesTestCase):
    """A volume that is used is not detached."""

    def test_an_open_file(self) -> None:
        self.flags(volume_detach_timeout=1, group='docker')
        instance, volume = self.start(
            'until touch /volumes/vdb/open; do sleep 0.1; done 2>/dev/null; '
            'exec 3> /volumes/vdb/open; echo opened; exec sleep 1000'
        ), self.make_volume()
        self.attach(instance, volume)
        self.wait_for_log(instance, 'opened')
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach,
                                  instance, volume)
        self.assertRegex(str(error), r'/volumes/vdb.*\w+ \(pid [0-9]+\)')
        self.inside(instance, 'touch', '/volumes/vdb/still')
        self.engine.stop(names.workload(instance.uuid), 0)
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def test_a_name_with_anything(self) -> None:
        """No terminal obeys to it, and nothing fails of it."""
        self.flags(volume_detach_timeout=0, group='docker')
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        self.inside(
            instance, 'sh', '-c',
            'name=$(printf "/tmp/busybox\\377\\033[2J"); '
            'cat /bin/busybox > "$name"; chmod 755 "$name"; '
            'cd /volumes/vdb; "$name" sleep 1000 > /dev/null 2>&1 & :')
        tests.wait_until(
            lambda: 'busybox' in str(holders.holders(
                str(self.host_path(instance)))), 'it is there')
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach,
                                  instance, volume)
        self.assertIn(': busybox\ufffd?[2J (pid', str(error))

    def test_everything_that_keeps_it(self) -> None:
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        point = str(self.host_path(instance))
        for use in ('sleep 1000 3> /volumes/vdb/open',
                    'cd /volumes/vdb; exec sleep 1000',
                    'cat /bin/busybox > /volumes/vdb/busybox; '
                    'chmod 755 /volumes/vdb/busybox; '
                    'exec /volumes/vdb/busybox sleep 1000',
                    'mkdir /volumes/vdb/below; '
                    'cp /bin/busybox /volumes/vdb/below; '
                    'exec chroot /volumes/vdb/below /busybox sleep 1000'):
            self.inside(instance, 'sh', '-c', f'({use}) >/dev/null 2>&1 & :')
            [number] = tests.wait_until(
                lambda: [number for number, name in holders.holders(point)
                         if name in ('sleep', 'busybox')], f'{use!r} is seen')
            self.inside(instance, 'kill', '-9', str(number))
            tests.wait_until(lambda: not holders.holders(point), 'it is over')

    def test_somebody_else_whose_root_is_below_all_mounts(self) -> None:
        """The kernel says of it that nothing is mounted."""
        other = subprocess.Popen(
            [sys.executable, '-c', 'import os, sys, time; '
             'os.chroot(sys.argv[1]); os.chdir("/"); '
             'print(flush=True); time.sleep(1000)',
             self.useFixture(fixtures.TempDir()).path],
            stdout=subprocess.PIPE)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        assert other.stdout is not None
        self.addCleanup(other.stdout.close)
        other.stdout.readline()
        self.assertEqual('', pathlib.Path(
            f'/proc/{other.pid}/mountinfo').read_text())
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        self.assertEqual([], holders.holders(str(self.host_path(instance))))

    def test_somebody_else_who_waits_for_storage(self) -> None:
        """Who looks at that storage would wait, too."""
        silent = self.useFixture(lxcfs.Lxcfs())
        with open(f'{silent.path}/proc/uptime', 'rb') as file:
            other = subprocess.Popen(['sleep', '1000'], cwd=silent.path,
                                     stdin=file)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        silent.stop()
        with futures.ThreadPoolExecutor(1) as thread:
            asked = thread.submit(holders.holders,
                                  str(self.host_path(instance)))
            try:
                self.assertEqual([], asked.result(tests.PATIENCE))
            finally:
                silent.go_on()

    def test_patience(self) -> None:
        """What ends in time does not hinder it."""
        self.flags(volume_detach_timeout=tests.PATIENCE, group='docker')
        instance, volume = self.start(), self.make_volume()
        self.attach(instance, volume)
        self.inside(instance, 'sh', '-c',
                    '(exec 3> /volumes/vdb/open; sleep 1) > /dev/null & :')
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)


class StorageGoneTestCase(base.VolumesTestCase):
    """The storage can't be written to any more."""

    def setUp(self) -> None:
        super().setUp()
        self.small = self.directory / 'small'
        self.small.mkdir()
        base.run('mount', '-t', 'tmpfs', '-o', 'size=16m', 'none', self.small)
        self.addCleanup(subprocess.run, ['umount', '--lazy', self.small],
                        check=False)

    def test_detach(self) -> None:
        instance = self.start()
        volume = self.make_volume(path=self.small / 'volume')
        self.attach(instance, volume)
        (self.small / 'other').write_bytes(bytes(32 * base.MIB)[
            :self._room()])
        self.inside(instance, 'sh', '-c',
                    'cat /dev/zero > /volumes/vdb/file; :')
        self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def test_it_is_forced_only_when_the_storage_does_not_answer(self) -> None:
        real, instance, volume = (connector.disconnect, self.start(),
                                  self.make_volume())
        link = self.directory / 'by-path'
        link.symlink_to(volume.device)
        volume.connection['data']['device_path'] = str(link)
        self.attach(instance, volume)

        def disconnect(connection: Mapping[str, Any],
                       found: Mapping[str, Any], force: bool = False) -> None:
            if not force:
                raise brick_exception.BrickException('not flushed')
            real(connection, found, force)

        with mock.patch.object(connector, 'disconnect', autospec=True,
                               side_effect=disconnect):
            self.assertRaises(brick_exception.BrickException, self.detach,
                              instance, volume)
            self.assertEqual([volume.id], [
                each.volume for each in self.records.of_instance(
                    instance.uuid)])
            link.unlink()
            self.detach(instance, volume)
        self.assert_nothing_left(instance, volume)

    def _room(self) -> int:
        figures = os.statvfs(self.small)
        return figures.f_bavail * figures.f_frsize


class ForgottenTestCase(base.VolumesTestCase):
    """There is no record: a detachment went so far, and is repeated."""

    def test_another_server_has_it(self) -> None:
        volume, instance, other = (self.make_volume(), self.start(),
                                   self.start())
        base.run('mkfs.ext4', '-q', volume.device)
        volume.connection['multiattach'] = True
        volume.connection['data']['access_mode'] = 'ro'
        for each in (instance, other):
            self.attach(each, volume)
        self.detach(instance, volume)
        with mock.patch.object(connector, 'disconnect',
                               autospec=True) as disconnect:
            self.detach(instance, volume)
            disconnect.assert_not_called()
            self.detach(other, volume)
            disconnect.reset_mock()
            self.detach(instance, volume)
            disconnect.assert_called_once_with(volume.connection, {})
