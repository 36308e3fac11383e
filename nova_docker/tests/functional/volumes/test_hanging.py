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

"""Storage that hangs: a file system whose daemon does not go on."""

from __future__ import annotations

import pathlib
from typing import Any
import uuid

import fixtures

from nova import exception
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import apart
from nova_docker.privsep import blocks
from nova_docker.privsep import holders
from nova_docker.privsep import mounttable
from nova_docker.tests import base as tests
from nova_docker.tests.functional import lxcfs
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import usage

_SHARES = propagate.Kind.SHARES


class HangingTestCase(base.VolumesTestCase):
    """A server with a share, and a volume that is a file on it.

    What is done with them ends, in good or in bad, and so does what is done
    with another volume.
    """

    def setUp(self) -> None:
        super().setUp()
        self.flags(volume_detach_timeout=0, group='docker')
        self.storage = self.useFixture(lxcfs.Lxcfs())
        self.instance = self.create_workload()
        self.points.mount(self.instance.uuid, _SHARES, 'data', 'bind',
                          self.storage.path)
        self.point = self.points.point(self.instance.uuid, _SHARES, 'data')
        self.engine.start(names.workload(self.instance.uuid))
        self.volume = self.make_volume()
        self.attach(self.instance, self.volume)
        file = self._on_share()
        self.connection: dict[str, Any] = {
            'driver_volume_type': 'local', 'serial': str(uuid.uuid4()),
            'data': {'device_path': str(file), 'access_mode': 'rw'}}

    def _on_share(self) -> pathlib.Path:
        """Mount the share where os-brick would; return a file on it."""
        place = pathlib.Path(CONF.state_path, 'mnt', 'share')
        place.mkdir(parents=True)
        base.run('mount', '--bind', f'{self.storage.path}/proc', place)
        self.addCleanup(base.run, 'umount', '--lazy', place)
        return place / 'stat'

    def _hang(self) -> None:
        self.storage.stop()
        self.addCleanup(self.storage.go_on)
        tests.wait_until(self._is_silent, 'the storage hangs')

    def _is_silent(self) -> bool:
        try:
            apart.run('read', self.point, 1)
        except TimeoutError:
            return True
        return False

    def _hang_shortly(self) -> None:
        """Let it hang, and be given up sooner than a host would."""
        self.useFixture(fixtures.MockPatchObject(blocks, 'SILENCE', 1))
        self._hang()

    def _open(self, point: str | pathlib.Path, file: str) -> None:
        """Have a process of the server keep a file open."""
        self.inside(self.instance, 'sh', '-c',
                    f'sleep 1000 3< {file} > /dev/null 2>&1 < /dev/null &')
        tests.wait_until(lambda: holders.holders(str(point)),
                         'it has the file open')

    def record(self, state: records.State) -> records.Record:
        """Have a record of the volume that is a file."""
        return self.records.save(records.Record(
            self.instance.uuid, self.connection['serial'], 'vdc', 'vdc',
            self.connection, found={
                'path': self.connection['data']['device_path']}, state=state))

    def test_the_share_is_removed(self) -> None:
        self._hang_shortly()
        error = self.soon(lambda: self.points.unmount(
            self.instance.uuid, _SHARES, 'data'))
        self.assertIsInstance(error, TimeoutError)
        self.assertIsNotNone(mounttable.find(self.point))

    def test_the_server_is_removed(self) -> None:
        self._hang()
        self.engine.remove(names.workload(self.instance.uuid))
        self.detach(self.instance, self.volume)
        self.soon(lambda: self.points.remove(self.instance.uuid))
        self.assertFalse(self.points.has_any(self.instance.uuid))

    def test_who_uses_it(self) -> None:
        self._open(self.point, '/shares/data/proc/uptime')
        self._hang()
        [(_pid, name)] = self.soon(lambda: holders.holders(self.point))
        self.assertEqual('sleep', name)

    def test_another_volume_is_in_use(self) -> None:
        self._open(self.point, '/shares/data/proc/uptime')
        (self.host_path(self.instance) / 'file').touch()
        self._open(self.host_path(self.instance), '/volumes/vdb/file')
        self._hang()
        error = self.soon(lambda: self.detach(self.instance, self.volume))
        self.assertIsInstance(error, exception.DeviceDetachFailed)
        self.assertIn('a process has a file open on it: sleep (pid',
                      str(error))

    def test_figures(self) -> None:
        self._hang()
        self.record(records.State.ATTACHED)
        figures = usage.Usage(self.records)
        [found] = self.soon(
            lambda: figures.all([{'instance': self.instance}]))
        self.assertEqual(self.volume.id, found['volume'])

    def test_its_volume_is_attached(self) -> None:
        self._hang_shortly()
        error = self.soon(lambda: self.attachments.attach(
            self.context, self.instance, self.connection, '/dev/vdc'))
        self.assertIsInstance(error, errors.UnsuitableVolume)
        self.assertIn('its storage does not answer', str(error))
        self.assertEqual([self.volume.id], self._recorded())

    def test_its_volume_is_detached(self) -> None:
        self._hang_shortly()
        self.record(records.State.ATTACHED)
        self.soon(lambda: self.attachments.detach(
            self.instance, self.connection))
        self.assertEqual([self.volume.id], self._recorded())

    def test_nova_compute_was_killed(self) -> None:
        """It attached the volume, or moved it, and is started again."""
        self._hang_shortly()
        for state in (records.State.ATTACHING, records.State.MOVING):
            self.record(state)
            self.soon(self.attached.prepare)
            self.assertNotIn(state, [
                each.state
                for each in self.records.of_instance(self.instance.uuid)])

    def _recorded(self) -> list[str]:
        return [each.volume
                for each in self.records.of_instance(self.instance.uuid)]
