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


"""Servers with a root volume that run what is on storage which hangs."""

from __future__ import annotations

import ddt
import fixtures

from nova_docker import errors
from nova_docker.privsep import blocks
from nova_docker.tests import base as tests
from nova_docker.tests.functional import lxcfs
from nova_docker.tests.functional.rootvolume import base
from nova_docker.volumes import propagate


@ddt.ddt
class HangingTestCase(base.RootTestCase):
    @ddt.data({'docker:workdir': '/shares/data/proc'},
              {'docker:env:PATH': '/shares/data/proc:/bin'})
    def test_what_it_runs(self, metadata: dict[str, str]) -> None:
        """It is not waited for; when it answers, the server can start."""
        self.useFixture(fixtures.MockPatchObject(blocks, 'SILENCE', 1))
        storage = self.useFixture(lxcfs.Lxcfs())
        self.use_image()
        instance = self.boot(
            self.make_volume(), 'sleep', '1000', start=False,
            metadata=metadata)
        self.points.mount(instance.uuid, propagate.Kind.SHARES, 'data',
                          'bind', storage.path)
        storage.stop()
        self.addCleanup(storage.go_on)
        for _time in range(2):
            error = self.soon(lambda: self.workloads.start(instance))
            self.assertIsInstance(error, errors.EngineBadRequest)
            self.assertIn("the command 'sleep', or its working directory '"
                          f"{metadata.get('docker:workdir', '/')}', is on "
                          'storage that does not answer', str(error))
            tests.wait_until(lambda: not self.power.is_running(instance),
                             'it has ended')
        storage.go_on()
        self.assertIsNone(self.soon(lambda: self.workloads.start(instance)))
        self.assertTrue(self.power.is_running(instance))
