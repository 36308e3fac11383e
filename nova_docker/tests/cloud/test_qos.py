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

"""Neutron's bandwidth policies, on what a server sends and receives."""

from __future__ import annotations

import time
from typing import Any
from typing import ClassVar

import ddt

from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import workbench

_KILOBITS = 1000
#: With the limit it takes 8 seconds, without a fraction of one.
_BYTES = 1_000_000
_SLOW = 5
_FAST = 2


@ddt.ddt
class BandwidthTestCase(base.CloudTestCase):
    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.shared.server('ssh')
        cls.guest = cls.shared.login(cls.server)

    def _policy(self, direction: str) -> str:
        network = clouds.connection('admin').network
        made = network.create_qos_policy(
            name=workbench.new_name(), is_shared=True)
        self.addCleanup(network.delete_qos_policy, made.id)
        network.create_qos_bandwidth_limit_rule(
            made.id, max_kbps=_KILOBITS, direction=direction)
        return str(made.id)

    def _limit(self, policy: str | None) -> None:
        port: Any = self.server.ports()[0]
        clouds.connection('demo').network.update_port(
            port, qos_policy_id=policy)

    def _seconds(self, direction: str) -> float:
        """Return how long the server takes to move some data."""
        begun = time.monotonic()
        if direction == 'egress':
            self.guest.run(f'head -c {_BYTES} /dev/zero')
        else:
            self.guest.run('cat > /dev/null', bytes(_BYTES))
        return time.monotonic() - begun

    @ddt.data('egress', 'ingress')
    def test_a_policy_limits_the_port(self, direction: str) -> None:
        policy = self._policy(direction)
        self.assertLess(self._seconds(direction), _FAST)
        self.addCleanup(self._limit, None)
        self._limit(policy)
        clouds.wait_until(lambda: self._seconds(direction) > _SLOW,
                          'the policy acts')
        self._limit(None)
        clouds.wait_until(lambda: self._seconds(direction) < _FAST,
                          'it acts no more')
