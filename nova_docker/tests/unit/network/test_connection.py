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

"""Sandbox and ports together, and what becomes of their errors."""

from __future__ import annotations

from typing import Any
from unittest import mock

import ddt
from nova import exception
from nova.network import model

from nova_docker import errors
from nova_docker.network import connection
from nova_docker.network import sandbox
from nova_docker.network import wiring
from nova_docker.tests import base


@ddt.ddt
class ConnectionTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.boxes = mock.create_autospec(sandbox.Sandbox, instance=True)
        self.wires = mock.create_autospec(wiring.Wiring, instance=True)
        self.boxes.ensure.return_value = 42
        self.boxes.is_lost.return_value = False
        self.connection = connection.Connection(self.boxes, self.wires)
        self.instance = base.make_instance()
        self.ports = model.NetworkInfo([
            self.port('1', '10.0.0.4', '192.0.2.1'),
            self.port('2', '10.1.0.4')])

    @staticmethod
    def port(name: str, address: str, *nameservers: str) -> model.VIF:
        return model.VIF(id=name, network=model.Network(subnets=[
            model.Subnet(ips=[model.FixedIP(address=address)],
                         dns=[model.IP(address=each, type='dns')
                              for each in nameservers])]))

    def unplugged(self) -> list[Any]:
        return [call.args[1]['id'] for call in
                self.wires.unplug.call_args_list]

    def test_names_of_all_ports(self) -> None:
        self.connection.join(self.instance, self.ports)
        self.boxes.ensure.assert_called_once_with(
            self.instance, ['192.0.2.1'], ['10.0.0.4', '10.1.0.4'])
        self.assertEqual(
            [mock.call(self.instance, port, 42) for port in self.ports],
            self.wires.connect.call_args_list)

    def test_unplugging_goes_on_past_an_error(self) -> None:
        self.wires.unplug.side_effect = [LookupError('first'), None]
        error = self.assertRaises(
            exception.VirtualInterfaceUnplugException,
            self.connection.unplug, self.instance, self.ports)
        self.assertIn('first', str(error))
        self.assertEqual(['1', '2'], self.unplugged())

    def test_removal_goes_on_past_an_error(self) -> None:
        self.wires.unplug.side_effect = LookupError('first')
        self.boxes.remove.side_effect = errors.EngineUnavailable('second')
        error = self.assertRaises(
            exception.VirtualInterfaceUnplugException,
            self.connection.remove, self.instance, self.ports)
        self.assertIn('first', str(error))
        self.boxes.remove.assert_called_once_with(self.instance.uuid)

    def test_a_failed_attachment_is_undone(self) -> None:
        self.wires.connect.side_effect = LookupError('first')
        for failure in (None, LookupError('second')):
            self.wires.unplug.side_effect = failure
            self.wires.unplug.reset_mock()
            error = self.assertRaises(
                exception.VirtualInterfacePlugException,
                self.connection.attach, self.instance, self.ports[1])
            self.assertIn('first', str(error))
            self.assertEqual(['2'], self.unplugged())

    @ddt.data(errors.UnsupportedVif(vif_type='binding_failed'),
              errors.EngineError('a sandbox that will not start', 500),
              exception.NovaException('a switch that says no'),
              exception.VirtualInterfacePlugException('a veth'),
              LookupError('something else'))
    def test_one_server_may_not_keep_nova_from_starting(
            self, error: Exception) -> None:
        """This is the only error that Nova's start-up survives."""
        self.wires.plug.side_effect = error
        raised = self.assertRaises(
            exception.VirtualInterfacePlugException,
            self.connection.restore, self.instance, self.ports)
        self.assertIn(str(error), str(raised))

    def test_an_engine_that_is_away_does(self) -> None:
        self.boxes.ensure.side_effect = errors.EngineUnavailable('no word')
        self.assertRaises(errors.EngineUnavailable, self.connection.restore,
                          self.instance, self.ports)
