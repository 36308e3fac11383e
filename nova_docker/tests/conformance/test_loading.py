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

"""Nova finds the driver, and the driver is what Nova expects."""

from nova import test
from nova.virt import driver
from nova.virt import fake

from nova_docker import driver as docker_driver
from nova_docker.tests import nova_api


class LoadingTestCase(test.NoDBTestCase):
    def test_nova_loads_it_by_its_name(self) -> None:
        loaded = driver.load_compute_driver(
            fake.FakeVirtAPI(), 'docker.DockerDriver')
        self.assertIs(type(loaded), docker_driver.DockerDriver)

    def test_its_methods_are_those_of_nova(self) -> None:
        self.assertPublicAPISignatures(
            nova_api.base_class()(fake.FakeVirtAPI()),
            docker_driver.DockerDriver(fake.FakeVirtAPI()))
