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

"""What Nova's monitor of the host's CPUs tells those who listen."""

from __future__ import annotations

import configparser
import os
import queue
from typing import Any

from oslo_config import cfg
import oslo_messaging

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services

#: Where Nova's versioned notifications come from, unless an operator says
#: otherwise.
_TOPIC = 'versioned_notifications'
_STATES = ('user', 'kernel', 'idle', 'iowait')
#: Keeps a CPU busy.
_BUSY = 'while :; do :; done'


class _Metrics:
    """Takes Nova's notifications of a host's metrics.

    Its methods are named after the priorities of notifications.
    """

    def __init__(self) -> None:
        self.received: queue.Queue[dict[str, Any]] = queue.Queue()

    def info(self, _context: Any, _publisher: str, kind: str,
             payload: dict[str, Any], _metadata: Any) -> None:
        if kind == 'metrics.update':
            self.received.put(payload['nova_object.data'])

    def next(self) -> dict[str, dict[str, Any]]:
        """Return the metrics of the next notification by their names."""
        data = self.received.get(timeout=clouds.PATIENCE)
        assert data['host'] == data['nodename'] == 'dockenstack', data
        found = [each['nova_object.data'] for each in data['metrics']]
        return {each['name']: each for each in found}


class MonitorTestCase(base.CloudTestCase):
    """An operator wants notifications; the monitor runs on dockenstack."""

    alone = True

    def setUp(self) -> None:
        super().setUp()
        self.metrics = _Metrics()
        listener = oslo_messaging.get_notification_listener(
            oslo_messaging.get_notification_transport(
                cfg.ConfigOpts(), url=_transport_url()),
            [oslo_messaging.Target(topic=_TOPIC, exchange='nova')],
            [self.metrics], executor='threading')
        listener.start()
        self.addCleanup(listener.wait)
        self.addCleanup(listener.stop)
        self.enterContext(services.options({
            'DEFAULT': {'update_resources_interval': '10'},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'},
        }, 'nova/compute.conf'))

    def test_what_the_cpus_do(self) -> None:
        loops = ' & '.join([_BUSY] * (os.cpu_count() or 1))
        self.make.server(
            flavor=self.make.flavor({}, vcpus=os.cpu_count() or 1),
            metadata={'docker:command': f"sh -c '{loops}'"})
        before = self.metrics.next()
        self.assertEqual({
            'cpu.frequency', 'cpu.percent',
            *(f'cpu.{state}.{unit}' for state in _STATES
              for unit in ('time', 'percent'))}, set(before))
        self.assertEqual({'docker.DockerDriver'},
                         {each['source'] for each in before.values()})

        busy = clouds.wait_until(self.busy, 'the CPUs are busy')
        for state in _STATES:
            self.assertGreaterEqual(busy[f'cpu.{state}.time']['value'],
                                    before[f'cpu.{state}.time']['value'])
        percentages = [busy[f'cpu.{state}.percent']['value']
                       for state in _STATES]
        # Each of them is rounded down.
        self.assertLessEqual(100 - len(_STATES), sum(percentages))
        self.assertLessEqual(sum(percentages), 100)

    def busy(self) -> dict[str, dict[str, Any]] | None:
        """Return the next metrics, if the CPUs did hardly anything else."""
        found = self.metrics.next()
        return found if (found['cpu.percent']['value'] >= 90
                         and found['cpu.user.percent']['value']
                         > found['cpu.idle.percent']['value']) else None


def _transport_url() -> str:
    parser = configparser.RawConfigParser()
    parser.read(clouds.home() / 'etc' / 'nova' / 'compute.conf')
    return parser['DEFAULT']['transport_url']
