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

"""What must hold before nova-compute takes work."""

from __future__ import annotations

from unittest import mock

import ddt

from nova import exception
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import startup
from nova_docker.tests import base
from nova_docker.tests.unit import kernel


@ddt.ddt
class StartupTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.serve('1.41')
        self.engine.info.return_value = {'CPUSet': True}
        self.useFixture(kernel.Kernel())

    def serve(self, api: str) -> None:
        self.engine.version.return_value = {'ApiVersion': api,
                                            'Version': '19.3.1'}

    @ddt.data('1.41', '1.45', '1.52', '2.0', '1.100')
    def test_new_enough(self, api: str) -> None:
        self.serve(api)
        startup.check(self.engine)

    @ddt.data('1.40', '1.9', '0.50')
    def test_too_old(self, api: str) -> None:
        self.serve(api)
        error = self.assertRaises(exception.InvalidConfiguration,
                                  startup.check, self.engine)
        self.assertIn('19.3.1 is too old', str(error))
        self.assertIn('20.10', str(error))

    def test_lxcfs_is_required_and_missing(self) -> None:
        self.flags(group='docker', lxcfs='required', lxcfs_path='/nowhere')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  startup.check, self.engine)
        self.assertIn('/nowhere', str(error))
        self.flags(group='docker', lxcfs='auto')
        startup.check(self.engine)

    def test_cpus_that_are_not_there(self) -> None:
        self.flags(group='compute', cpu_dedicated_set='7-8')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  startup.check, self.engine)
        self.assertIn('cpu_dedicated_set', str(error))

    def test_an_engine_that_can_not_pin(self) -> None:
        self.engine.info.return_value = {'CPUSet': False}
        startup.check(self.engine)
        self.flags(group='compute', cpu_dedicated_set='7')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  startup.check, self.engine)
        self.assertIn('cpuset', str(error))

    def test_no_engine(self) -> None:
        self.engine.version.side_effect = errors.EngineUnavailable('no word')
        self.assertRaises(errors.EngineUnavailable, startup.check,
                          self.engine)
