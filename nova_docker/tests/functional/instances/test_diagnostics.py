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

"""Diagnostics of real containers."""

from __future__ import annotations

import datetime
import pathlib

from nova.network import model
from oslo_utils import timeutils

from nova_docker.instances import diagnostics
from nova_docker import names
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base


class DiagnosticsTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.diagnostics = diagnostics.Diagnostics(self.engine)

    def test_of_one_that_works(self) -> None:
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c',
            "kept=$(head -c 8000000 /dev/zero | tr '\\0' x); echo done; "
            'while true; do true; done', flavor=tests.make_flavor(),
            launched_at=timeutils.utcnow() - datetime.timedelta(hours=1))
        self.wait_for_log(instance, 'done')
        found = self.diagnostics(instance)
        self.assertEqual(('running', 'docker', 'linux', False),
                         (found.state, found.hypervisor, found.hypervisor_os,
                          found.config_drive))
        self.assertGreaterEqual(found.uptime, 3600)
        self.assertEqual(64, found.memory_details.maximum)
        self.assertTrue(8 <= found.memory_details.used <= 64)
        self.assertGreater(sum(cpu.time for cpu in found.cpu_details), 0)
        self.assertEqual(1, found.num_disks)

    def test_of_one_that_does_not_run(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        found = self.diagnostics(instance)
        self.assertEqual('shutdown', found.state)
        self.assertEqual(0, found.memory_details.used)

    def test_of_one_that_is_paused(self) -> None:
        instance = self.run_workload(self.make_image())
        self.engine.pause(names.workload(instance.uuid))
        self.assertEqual('paused', self.diagnostics(instance).state)

    def test_interfaces(self) -> None:
        """What the host end receives, the container has sent."""
        instance = self.run_workload(self.make_image())
        instance.info_cache.network_info = model.NetworkInfo([
            model.VIF(id='1', address='fa:16:3e:00:00:01', devname='lo'),
            model.VIF(id='nosuch', address='fa:16:3e:00:00:02')])
        present, absent = self.diagnostics(instance).nic_details
        counted = int(pathlib.Path(
            '/sys/class/net/lo/statistics/rx_bytes').read_text())
        self.assertEqual('fa:16:3e:00:00:01', present.mac_address)
        self.assertLessEqual(present.tx_octets, counted)
        self.assertEqual('fa:16:3e:00:00:02', absent.mac_address)
        self.assertIsNone(absent.tx_octets)
