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

"""What is tried again when a port is plugged, and what is not."""

from __future__ import annotations

import errno
from typing import Any
from unittest import mock

import ddt
from nova import exception
import os_vif
from os_vif import exception as os_vif_exception
from os_vif import objects as os_vif_objects
from pyroute2.netlink import exceptions as netlink_exceptions

from nova_docker.network import datapath
from nova_docker.network import wiring
from nova_docker.privsep import links
from nova_docker.tests import base
from nova_docker.tests.functional.network import ports

_NO_DEVICE = netlink_exceptions.NetlinkError(errno.ENODEV)
_NO_LINK = os_vif_exception.NetworkInterfaceNotFound(interface='tap')
_REFUSED = netlink_exceptions.NetlinkError(errno.EPERM)


@ddt.ddt
class PlugTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        os_vif_objects.register_all()
        switch = mock.create_autospec(datapath.Datapath, instance=True)
        switch.has_port.return_value = False
        self.wiring = wiring.Wiring(switch)
        self.create_pair = self.patched(links, 'create_pair')
        self.os_vif_plug = self.patched(os_vif, 'plug')

    def patched(self, module: Any, name: str) -> Any:
        """Replace a function that would change this host."""
        patch = mock.patch.object(module, name, autospec=True)
        self.addCleanup(patch.stop)
        return patch.start()

    def plug(self) -> None:
        self.wiring.plug(base.make_instance(), ports.make_vif(1))

    def fail_in_os_vif(self, cause: Exception, times: int) -> None:
        """Let os-vif fail as it does: its own error hides another."""
        outcomes = iter([cause] * times)

        def plug(vif: Any, _instance: Any) -> None:
            try:
                for outcome in outcomes:
                    raise outcome
            except Exception as err:
                raise os_vif_exception.PlugException(
                    vif=vif, err=err) from None
        self.os_vif_plug.side_effect = plug

    @ddt.data(_NO_DEVICE, _NO_LINK)
    def test_a_link_that_goes_meanwhile_is_made_again(
            self, error: Exception) -> None:
        self.fail_in_os_vif(error, times=1)
        with self.assertLogs(wiring.__name__, 'INFO') as logs:
            self.plug()
        self.assertIn('plugging it with a new one', logs.output[0])
        self.assertEqual(2, self.create_pair.call_count)

    def test_one_that_goes_before_it_is_set_up_is_made_again(self) -> None:
        self.create_pair.side_effect = [_NO_DEVICE, True]
        self.plug()
        self.assertEqual(1, self.os_vif_plug.call_count)

    @ddt.data(_REFUSED, OSError(errno.ENODEV, 'not of a link'),
              LookupError('something else'))
    def test_any_other_failure_is_told_at_once(self, error: Exception) -> None:
        self.fail_in_os_vif(error, times=1)
        self.assertRaises(exception.VirtualInterfacePlugException, self.plug)
        self.assertEqual(1, self.create_pair.call_count)

    def test_a_link_that_goes_twice_is_a_failure(self) -> None:
        self.fail_in_os_vif(_NO_LINK, times=2)
        self.assertRaises(exception.VirtualInterfacePlugException, self.plug)
