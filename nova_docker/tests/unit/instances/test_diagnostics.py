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

"""Diagnostics from the engine's figures, on both versions of cgroups."""

from __future__ import annotations

from typing import Any
from unittest import mock

import ddt

from nova_docker.engine import client
from nova_docker.instances import diagnostics
from nova_docker.tests import base

MIB = 1024 * 1024
FIRST = {
    'cpu_stats': {'cpu_usage': {'total_usage': 70,
                                'percpu_usage': [30, 40]}},
    'memory_stats': {'usage': 9 * MIB, 'stats': {
        'total_inactive_file': 4 * MIB, 'inactive_file': MIB}},
    'blkio_stats': {
        'io_service_bytes_recursive': [
            {'op': 'Read', 'value': 1}, {'op': 'Write', 'value': 2},
            {'op': 'Total', 'value': 3}, {'op': 'Read', 'value': 10}],
        'io_serviced_recursive': [
            {'op': 'Read', 'value': 5}, {'op': 'Write', 'value': 6}]}}
SECOND = {
    'cpu_stats': {'cpu_usage': {'total_usage': 70}},
    'memory_stats': {'usage': 9 * MIB, 'stats': {'inactive_file': 4 * MIB}},
    'blkio_stats': {
        'io_service_bytes_recursive': [
            {'op': 'read', 'value': 11}, {'op': 'write', 'value': 2}],
        'io_serviced_recursive': None}}
#: Of a container that does not run.
NOTHING = {
    'cpu_stats': {'cpu_usage': {'total_usage': 0}}, 'memory_stats': {},
    'blkio_stats': {'io_service_bytes_recursive': None,
                    'io_serviced_recursive': None}}


@ddt.ddt
class DiagnosticsTestCase(base.TestCase):
    @ddt.data((FIRST, [30, 40], 5, (11, 2, 5, 6)),
              (SECOND, [70], 5, (11, 2, 0, 0)),
              (NOTHING, [0], 0, (0, 0, 0, 0)),
              ({}, [0], 0, (0, 0, 0, 0)))
    @ddt.unpack
    def test_figures(self, stats: dict[str, Any], cpus: list[int],
                     memory: int, disk: tuple[int, ...]) -> None:
        engine = mock.create_autospec(client.Engine, instance=True)
        engine.container.return_value = {'State': {'Status': 'running'}}
        engine.stats.return_value = stats
        found = diagnostics.Diagnostics(engine)(base.make_instance())
        self.assertEqual(cpus, [each.time for each in found.cpu_details])
        self.assertEqual(memory, found.memory_details.used)
        [counted] = found.disk_details
        self.assertEqual(disk, (
            counted.read_bytes, counted.write_bytes, counted.read_requests,
            counted.write_requests))
        self.assertIsNone(found.uptime)

    def test_the_flat_format_of_old_api_versions(self) -> None:
        engine = mock.create_autospec(client.Engine, instance=True)
        engine.container.return_value = {'State': {'Status': 'running'}}
        engine.stats.return_value = FIRST
        found = diagnostics.Diagnostics(engine).flat(base.make_instance(
            flavor=base.make_flavor(memory_mb=64)))
        self.assertEqual({
            'cpu0_time': 30, 'cpu1_time': 40,
            'memory': 64 * 1024, 'memory-rss': 5 * 1024,
            'root_read': 11, 'root_write': 2,
            'root_read_req': 5, 'root_write_req': 6}, found)
