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

"""Servers that wait for their root volume, without who should open it."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import types
from typing import Any
from unittest import mock

import ddt
import fixtures
from nova.compute import task_states
from nova.compute import vm_states
from nova.network import model
from oslo_concurrency import lockutils

from nova import objects
from nova import utils
from nova_docker import driver
from nova_docker import names
from nova_docker.privsep import newroot
from nova_docker.privsep import pivot
from nova_docker.privsep import programs
from nova_docker.rootvolume import layout
from nova_docker.tests import base as tests
from nova_docker.tests.functional import proxy
from nova_docker.tests.functional.rootvolume import base
from nova_docker.tests.functional.volumes import base as volumes
from nova_docker.tests.functional.volumes import killing
from nova_docker.tests import nova_api


@ddt.ddt
class PorterTestCase(killing.KilledCase, base.RootTestCase):
    """A server that does not run, and is started by somebody else."""

    def setUp(self) -> None:
        super().setUp()
        self.use_image()
        self.volume = self.make_volume()
        self.instance = self.boot(
            self.volume, start=False, deleted=False, host='host',
            vm_state=vm_states.STOPPED)
        (self.place(self.instance) / 'root/mine').touch()
        self.flags(host='host')
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', autospec=True,
            side_effect=self.find))
        #: For each look at the server, whether Nova's task could begin.
        self.could_begin: list[bool] = []
        self.logged = self.useFixture(fixtures.FakeLogger())

    @property
    def name(self) -> str:
        return names.workload(self.instance.uuid)

    def find(self, _context: Any, uuid: str) -> objects.Instance:
        """Return the server, as Nova knows it."""
        if threading.current_thread().name == 'root-volume':
            try:
                with lockutils.lock(uuid, 'nova-', blocking=False):
                    self.could_begin.append(True)
            except lockutils.AcquireLockFailedException:
                self.could_begin.append(False)
        return self.instance

    def follow(self) -> driver.DockerDriver:
        """Start nova-compute, which stays."""
        started = driver.DockerDriver(nova_api.VirtAPI())
        self.addCleanup(self.end, started)
        started.init_host('host')
        return started

    @staticmethod
    def end(started: driver.DockerDriver) -> None:
        """Stop nova-compute, and wait for what it is at."""
        started.cleanup_host('host')
        for thread in threading.enumerate():
            if thread.name == 'root-volume':
                thread.join(tests.PATIENCE)

    def is_in(self) -> bool:
        """Tell whether the server runs on its volume."""
        found = self.engine.container(self.name)
        return (found['State']['Running'] and not pivot.is_waiting(
            found['State']['Pid'], layout.PLACE))

    def wait_until_in(self) -> None:
        tests.wait_until(lambda: self.is_in() and 'which it has now' in
                         self.logged.output, 'it has its root volume')
        self.inside(self.instance, 'ls', '/mine')

    def wait_until_let_in(self, times: int) -> None:
        tests.wait_until(
            lambda: self.logged.output.count('which it has now') == times,
            'it has its root volume once more')

    def start_by_hand(self) -> None:
        self.engine.start(self.name)

    def test_by_hand(self) -> None:
        self.follow()
        self.start_by_hand()
        self.wait_until_in()

    def test_again_by_hand(self) -> None:
        docker = self.follow()
        docker.power_on(self.context, self.instance, model.NetworkInfo())
        for times in range(1, 4):
            self.engine.stop(self.name, 0)
            self.start_by_hand()
            self.wait_until_let_in(times)
            self.inside(self.instance, 'ls', '/mine')

    def test_started_anew_while_it_enters(self) -> None:
        """What was to end the first one does not end the second."""
        real, calls = programs.find, []

        def find(*arguments: Any) -> str:
            calls.append(arguments)
            if len(calls) == 1:
                self.engine.stop(self.name, 0)
                self.start_by_hand()
            return real(*arguments)

        self.useFixture(fixtures.MockPatchObject(
            programs, 'find', autospec=True, side_effect=find))
        self.follow()
        self.start_by_hand()
        self.wait_until_in()
        self.assertEqual(2, len(calls))

    def test_while_the_engine_was_away(self) -> None:
        wire = self.useFixture(proxy.Proxy(self.url))
        self.flags(url=wire.url, group='docker')
        self.follow()
        wire.cut()
        tests.wait_until(lambda: 'was interrupted' in self.logged.output,
                         'it is missed')
        self.start_by_hand()
        self.assertFalse(self.is_in())
        wire.mend()
        self.wait_until_in()

    def test_the_driver_itself_starts_it(self) -> None:
        """Nobody else is at it then."""
        docker = self.follow()

        @utils.synchronized(self.instance.uuid)
        def start() -> None:
            docker.power_on(self.context, self.instance, model.NetworkInfo())

        start()
        self.assertTrue(self.is_in())
        self.end(docker)
        self.assertNotIn('which it has now', self.logged.output)

    def test_no_task_of_novas_is_at_it(self) -> None:
        """It is not deleted while its volumes are looked after."""
        self.start_by_hand()
        self.follow()
        self.wait_until_in()
        self.assertEqual({False}, set(self.could_begin))

    @ddt.data({'host': 'other'}, {'task_state': task_states.DELETING},
              {'task_state': task_states.REBUILDING})
    def test_it_is_not_to_run_here(self, fields: dict[str, str]) -> None:
        """It was, or is just being, evacuated, or is deleted."""
        self.instance.update(fields)
        self.start_by_hand()
        docker = self.follow()
        tests.wait_until(lambda: self.could_begin, 'it is looked at')
        self.end(docker)
        self.assertTrue(self.power.is_running(self.instance))
        self.assertFalse(self.is_in())

    def test_its_volume_was_unmounted(self) -> None:
        self.start_by_hand()
        volumes.run('umount', '--lazy', self.place(self.instance))
        self.follow()
        self.wait_until_in()
        self.assertTrue(self.points.has_any(self.instance.uuid))

    def test_it_can_not_be_entered(self) -> None:
        root = self.place(self.instance) / 'root'
        (root / 'sys').rmdir()
        (root / 'sys').symlink_to('/tmp')
        self.start_by_hand()
        self.follow()
        self.wait_for_end(self.instance)
        tests.wait_until(
            lambda: 'can not have its root volume: the root volume '
                    f'{self.volume.id} can not be used: /sys: ' in
                    self.logged.output, 'the log says so')

    def test_its_storage_is_gone(self) -> None:
        """It goes on waiting, until that is back."""
        record = self.records.root(self.instance.uuid)
        assert record is not None and record.path is not None
        self.records.save(dataclasses.replace(
            record, found={'path': str(self.directory / 'gone')}))
        self.start_by_hand()
        docker = self.follow()
        tests.wait_until(
            lambda: f'Volume {self.volume.id} can\'t be attached: its '
                    'storage does not answer' in self.logged.output,
            'the log says so')
        self.end(docker)
        self.assertTrue(self.power.is_running(self.instance))
        self.assertFalse(self.is_in())
        self.records.save(record)
        self.follow()
        self.wait_until_in()

    @ddt.data((pivot, 'enter', 1), (newroot, '_is_read_only', 1),
              (newroot, '_move', 4))
    @ddt.unpack
    def test_killed(self, module: types.ModuleType, function: str,
                    times: int) -> None:
        """nova-compute, between the start and the entry."""
        self.kill_in(module, function, times)
        self.assertFalse(self.is_in())
        self.follow()
        self.wait_until_in()

    def test_killed_when_it_has_entered(self) -> None:
        """It has no words yet: it ends, and can be started."""
        self.kill_in(programs, 'find', 1)
        self.wait_for_end(self.instance)
        docker = self.follow()
        docker.power_on(self.context, self.instance, model.NetworkInfo())
        self.inside(self.instance, 'ls', '/mine')

    def kill_in(self, module: types.ModuleType, function: str,
                times: int) -> None:
        """Start it, and kill nova-compute when it calls a function.

        :param times: which call it is
        """
        real, calls = getattr(module, function), []

        def kill(*arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == times:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        with mock.patch.object(module, function, autospec=True,
                               side_effect=kill):
            self.assertEqual(-signal.SIGKILL, self.in_process(
                lambda docker: docker.power_on(
                    self.context, self.instance, model.NetworkInfo())))
