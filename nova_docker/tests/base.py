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

"""What every test of the driver may use: Nova's objects, and patience."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any
import uuid

import nova.conf.neutron
from nova.network import model
from nova import objects
from oslo_config import fixture as config_fixture
from oslotest import base

from nova_docker.conf import CONF

objects.register_all()
# A service does it when it has read its configuration.
nova.conf.neutron.register_dynamic_opts(CONF)

#: Seconds after which a condition that must come true has not. Generous: a
#: slow machine may not fail a test.
PATIENCE = 120

#: Whose the instances are that no database has.
PROJECT = 'project'


def make_flavor(**fields: Any) -> objects.Flavor:
    """Return a small flavor; ``fields`` win over the defaults."""
    return objects.Flavor(**{
        'id': 1, 'flavorid': '1', 'name': 'm1.test', 'memory_mb': 64,
        'vcpus': 1, 'root_gb': 1, 'ephemeral_gb': 0, 'swap': 0,
        'extra_specs': {}, **fields})


def make_instance(flavor: objects.Flavor | None = None,
                  **fields: Any) -> objects.Instance:
    """Return an instance that is in no database.

    :param flavor: a small one by default
    :param fields: of the instance; they win over the defaults
    """
    instance = objects.Instance(**{
        'id': 1, 'uuid': str(uuid.uuid4()), 'hostname': 'server',
        'display_name': 'server', 'project_id': PROJECT, 'user_id': 'user',
        'image_ref': str(uuid.uuid4()), 'key_data': None, 'key_name': None,
        'metadata': {}, 'system_metadata': {}, 'launched_at': None,
        'config_drive': '', 'trusted_certs': None, 'device_metadata': None,
        'task_state': None, 'migration_context': None, 'numa_topology': None,
        'flavor': flavor or make_flavor(), **fields})
    instance.info_cache = objects.InstanceInfoCache(
        instance_uuid=instance.uuid, network_info=model.NetworkInfo())
    return instance


def wait_until(condition: Callable[[], Any], expected: str) -> Any:
    """Return the first true value of a condition.

    :param expected: what it waits for, for the failure's message
    """
    pause = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        pause.wait(0.02)
    raise AssertionError(f'not within {PATIENCE} s: {expected}')


class TestCase(base.BaseTestCase):
    """A test whose changes of options end with it."""

    def setUp(self) -> None:
        super().setUp()
        self._config = self.useFixture(config_fixture.Config(CONF))

    def flags(self, **options: Any) -> None:
        """Override options for this test; ``group`` names their group."""
        self._config.config(**options)
