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

"""When the ports of real containers carry nothing."""

from __future__ import annotations

from unittest import mock

import ddt
import fixtures
from nova.compute import vm_states
from nova.network import model

from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base


class FailedStartTestCase(base.EngineTestCase):
    """The ports are plugged before a start, which may fail."""

    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()
        self.port = model.VIF(id='port', network=model.Network(subnets=[]))

    def on(self, instance: objects.Instance) -> None:
        self.power.on(instance, model.NetworkInfo([self.port]))

    def assert_silenced(self) -> None:
        """See that the port was plugged for the start, and silenced then."""
        calls = [call[0] for call in self.wires.method_calls]
        self.assertEqual('plug', calls[0])
        self.assertEqual('silence', calls[-1])
        self.wires.silence.assert_called_once_with(self.port)

    def test_a_start_that_the_engine_refuses_leaves_no_port(self) -> None:
        instance = self.make_instance(tests.make_flavor(
            extra_specs={'docker:sysctl_vm.nosuch': '1'}))
        self.create(instance, self.make_image())
        self.assertRaises(exception.InstancePowerOnFailure, self.on, instance)
        self.assert_silenced()

    def test_a_start_that_is_not_prepared_leaves_no_port(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'prepare', autospec=True,
            side_effect=exception.InstancePowerOnFailure(reason='no')))
        self.assertRaises(exception.InstancePowerOnFailure, self.on, instance)
        self.assert_silenced()

    def test_an_engine_that_may_start_it_yet_leaves_its_ports(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'prepare', autospec=True,
            side_effect=errors.EngineUnavailable('late')))
        self.assertRaises(errors.EngineUnavailable, self.on, instance)
        self.wires.plug.assert_called_once_with(instance, self.port)
        self.wires.silence.assert_not_called()

    def test_what_fails_of_one_that_runs_leaves_its_ports(self) -> None:
        instance = self.run_workload(self.make_image())
        self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'prepare', autospec=True, side_effect=OSError))
        self.assertRaises(OSError, self.on, instance)
        self.wires.plug.assert_called_once_with(instance, self.port)
        self.wires.silence.assert_not_called()

    def test_ports_that_can_not_be_silenced_hide_no_failure(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'prepare', autospec=True, side_effect=OSError('first')))
        self.wires.silence.side_effect = ValueError
        error = self.assertRaises(OSError, self.on, instance)
        self.assertEqual('first', str(error))


@ddt.ddt
class QuietenTestCase(base.EngineTestCase):
    """The ports of a server that Nova, or nobody, lets stand still."""

    def setUp(self) -> None:
        super().setUp()
        self.power = self.make_power()

    @ddt.data((vm_states.PAUSED, True), (vm_states.SUSPENDED, True),
              (vm_states.ACTIVE, False))
    @ddt.unpack
    def test_frozen(self, vm_state: str, silent: bool) -> None:
        """While the engine copies a server that runs, too, it is frozen."""
        instance = self.run_workload(self.make_image(), vm_state=vm_state)
        self.engine.pause(names.workload(instance.uuid))
        self.assert_silenced(instance, silent)

    def test_running(self) -> None:
        self.assert_silenced(self.run_workload(
            self.make_image(), vm_state=vm_states.ACTIVE), False)

    def test_ended(self) -> None:
        instance = self.run_workload(self.make_image(), 'true',
                                     vm_state=vm_states.ACTIVE)
        self.wait_for_end(instance)
        self.assert_silenced(instance, True)

    def test_gone(self) -> None:
        self.assert_silenced(self.make_instance(), False)

    def assert_silenced(self, instance: objects.Instance,
                        silent: bool) -> None:
        port = model.VIF(id='port')
        self.power.quieten(instance, model.NetworkInfo([port]))
        self.assertEqual([mock.call(port)] if silent else [],
                         self.wires.silence.call_args_list)
