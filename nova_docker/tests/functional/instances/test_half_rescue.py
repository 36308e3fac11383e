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

"""Rescues that a nova-compute that was killed left half done."""

from __future__ import annotations

from typing import Any
from unittest import mock

import ddt
from nova.compute import vm_states
from nova.network import model

from nova import exception
from nova import objects
from nova_docker.instances import configdrive
from nova_docker import names
from nova_docker.tests.functional.instances import test_rescue

#: A rescue's steps, and those of its end: an attribute of the test's, and
#: what is called there.
BEGIN = (('power', 'off'), ('workloads', 'set_aside'), ('disks', 'mount'),
         ('workloads', 'create'), ('power', 'on'))
END = (('workloads', 'remove_stand_in'), ('disks', 'unmount'),
       ('workloads', 'bring_back'), ('power', 'on'))


class Killed(BaseException):
    """Nothing handles this: no step runs after it."""


@ddt.ddt
class HalfRescueTestCase(test_rescue.RescueBase):
    def killed_after(self, part: str, step: str, act: Any) -> None:
        """Do something as far as one step, and start as nova-compute does."""
        target = getattr(self, part)
        real = getattr(target, step)

        def last(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            raise Killed
        with mock.patch.object(target, step, last):
            self.assertRaises(Killed, act)
        self.restarted()

    def restarted(self, state: str | None = None,
                  error: Exception | None = None) -> None:
        """Do what is done when nova-compute starts.

        :param state: the server's in Nova; by default as before
        :param error: that Nova answers instead
        """
        if state:
            self.instance.vm_state = state
        with mock.patch.object(
                objects.Instance, 'get_by_uuid', autospec=True,
                side_effect=error, return_value=self.instance):
            self.rescue.recover()

    def assert_is_itself(self) -> None:
        """Fail unless the server runs from its own disk, and that alone."""
        self.assertEqual('mine', self.inside('cat', '/etc/motd'))
        self.assertFalse(self.workloads.is_aside(self.instance))
        self.assertFalse(self.directory().parent.exists())

    def start(self) -> None:
        self.power.on(self.instance, model.NetworkInfo())

    @ddt.data(*BEGIN)
    @ddt.unpack
    def test_a_begin_that_was_killed(self, part: str, step: str) -> None:
        self.instance.vm_state = vm_states.ACTIVE
        with self.subTest('start'):
            self.killed_after(part, step, self.begin)
            self.start()
            self.assert_is_itself()
        with self.subTest('rescue'):
            self.killed_after(part, step, self.begin)
            self.begin()
            self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))
            self.rescue.end(self.instance)
            self.assert_is_itself()
        with self.subTest('delete'):
            self.killed_after(part, step, self.begin)
            self.make_destroy()(self.instance, model.NetworkInfo())
            self.assertEqual([], self.engine.containers(
                [f'{names.UUID}={self.instance.uuid}']))
            self.assertFalse(self.directory().parent.exists())

    @ddt.data(*END)
    @ddt.unpack
    def test_an_end_that_was_killed(self, part: str, step: str) -> None:
        self.instance.vm_state = vm_states.RESCUED
        for name, act in (('start', self.start), (
                'unrescue', lambda: self.rescue.end(self.instance))):
            with self.subTest(name):
                self.begin()
                self.killed_after(
                    part, step, lambda: self.rescue.end(self.instance))
                act()
                self.assert_is_itself()

    def test_a_rescued_server_stays_so(self) -> None:
        self.begin()
        self.restarted(vm_states.RESCUED)
        self.assertEqual('mine', self.inside('cat', '/rescue/etc/motd'))

    def test_a_server_that_nova_does_not_tell_of_stays_so(self) -> None:
        self.begin()
        for error in (exception.InstanceNotFound(instance_id='7'),
                      exception.NovaException('no conductor')):
            self.restarted(error=error)
            self.assertTrue(self.workloads.is_aside(self.instance))

    def test_a_resize_that_waits_is_no_rescue(self) -> None:
        """It sets a workload aside as well, and nothing of it is undone."""
        self.power.off(self.instance)
        self.addCleanup(self.workloads.discard, self.instance)
        self.workloads.move_disk(
            self.instance, configdrive.Details(
                model.NetworkInfo()))
        self.restarted(vm_states.ACTIVE)
        self.assertTrue(self.workloads.is_aside(self.instance))
