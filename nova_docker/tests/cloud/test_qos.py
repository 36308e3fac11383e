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

"""Neutron's bandwidth policies, on what a server sends.

Neutron's meters for what a server receives match no packet that another port
of the same host sends, such as the router's: those have no VLAN tag yet.
"""

from __future__ import annotations

import time
from typing import Any

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import workbench

_KILOBITS = 1000
#: With the limit they take 8 seconds, at least.
_BYTES = 1_000_000
_SLOW = 5


class BandwidthTestCase(base.ServerTestCase):
    def _policy(self) -> str:
        network = clouds.connection('admin').network
        made = network.create_qos_policy(
            name=workbench.new_name(), is_shared=True)
        self.addCleanup(network.delete_qos_policy, made.id)
        network.create_qos_bandwidth_limit_rule(
            made.id, max_kbps=_KILOBITS, direction='egress')
        return str(made.id)

    def _limit(self, policy: str | None) -> None:
        port: Any = self.server.ports()[0]
        clouds.connection('demo').network.update_port(
            port, qos_policy_id=policy)

    def _seconds(self) -> float:
        """Return how long the server takes to send some data."""
        begun = time.monotonic()
        self.guest.run(f'head -c {_BYTES} /dev/zero')
        return time.monotonic() - begun

    def test_a_policy_limits_the_port(self) -> None:
        policy = self._policy()
        free = self._seconds()
        self.addCleanup(self._limit, None)
        self._limit(policy)
        clouds.wait_until(lambda: self._seconds() > _SLOW, 'the policy acts')
        self._limit(None)
        clouds.wait_until(lambda: self._seconds() < max(_SLOW, 2 * free),
                          'it acts no more')
