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

"""The datapath's abilities, as a real Open vSwitch database tells them."""

import tempfile
from typing import ClassVar
import unittest

from nova_docker.conf import CONF
from nova_docker.network import datapath
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import processes


class DatapathTestCase(unittest.TestCase):
    """No switch runs, so that the database says what a test wrote."""

    database: ClassVar[openvswitch.Database]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.database = openvswitch.Database(directory)
        cls.addClassCleanup(cls.database.stop)
        openvswitch.use(cls, cls.database.connection)

    def setUp(self) -> None:
        super().setUp()
        self.datapath = datapath.Datapath()
        self.addCleanup(self.vsctl, 'clear', 'Open_vSwitch', '.',
                        'other_config', 'dpdk_version')
        self.addCleanup(self.vsctl, 'del-br', openvswitch.BRIDGE)
        self.vsctl('add-br', openvswitch.BRIDGE)

    def vsctl(self, *arguments: str) -> None:
        """Change the database."""
        self.database.vsctl('--no-wait', *arguments)

    def assert_offloads(self, expected: bool) -> None:
        """Wait until the answer is the expected one, or fail."""
        processes.wait_for(
            lambda: self.datapath.offloads_checksums(
                openvswitch.BRIDGE) is expected, f'offload is {expected}')

    def test_kernel_datapath_offloads(self) -> None:
        self.assert_offloads(True)

    def test_userspace_datapath_does_not(self) -> None:
        self.vsctl('set', 'Bridge', openvswitch.BRIDGE, 'datapath_type=netdev')
        self.assert_offloads(False)

    def test_userspace_datapath_with_segmentation_offloads(self) -> None:
        self.vsctl('set', 'Bridge', openvswitch.BRIDGE, 'datapath_type=netdev')
        self.vsctl('set', 'Open_vSwitch', '.', 'dpdk_version="DPDK 22.11.1"',
                   'other_config:userspace-tso-enable=true')
        self.assert_offloads(True)

    def test_build_without_dpdk_does_not_segment(self) -> None:
        self.vsctl('set', 'Bridge', openvswitch.BRIDGE, 'datapath_type=netdev')
        self.vsctl('set', 'Open_vSwitch', '.', 'dpdk_version=none',
                   'other_config:userspace-tso-enable=true')
        self.assert_offloads(False)

    def test_operator_decides(self) -> None:
        self.addCleanup(CONF.clear_override, 'tx_checksum_offload', 'docker')
        for asked, expected in (('on', True), ('off', False)):
            CONF.set_override('tx_checksum_offload', asked, 'docker')
            self.assertIs(expected,
                          self.datapath.offloads_checksums(openvswitch.BRIDGE))

    def test_has_port(self) -> None:
        self.assertFalse(self.datapath.has_port('tap0'))
        self.vsctl('add-port', openvswitch.BRIDGE, 'tap0')
        processes.wait_for(lambda: self.datapath.has_port('tap0'), 'tap0')


class NoSwitchTestCase(unittest.TestCase):
    """There is no database at all."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        openvswitch.use(cls, 'unix:/nonexistent')

    def test_offload_is_off_since_that_always_works(self) -> None:
        with self.assertLogs('nova_docker.network.datapath', 'WARNING'):
            self.assertFalse(
                datapath.Datapath().offloads_checksums(openvswitch.BRIDGE))
