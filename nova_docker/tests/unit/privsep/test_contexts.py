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

"""How much the daemons of privileged functions do at a time."""

import subprocess
import sys

from oslo_messaging import opts
from oslotest import base

# Other tests forget what modules have set as defaults.
_SIZES = """
from nova_docker.conf import CONF
from nova_docker import privsep
for context in (privsep.mount_pctxt, privsep.root_pctxt):
    print(CONF[context.cfg_section].thread_pool_size)
"""


class PoolTestCase(base.BaseTestCase):
    def test_no_fewer_than_nova_compute_does(self) -> None:
        """Else who asks for what takes long keeps all others waiting."""
        [requests] = [each.default for _group, group in opts.list_opts()
                      for each in group
                      if each.name == 'executor_thread_pool_size']
        found = subprocess.run([sys.executable, '-c', _SIZES], check=True,
                               capture_output=True, text=True).stdout.split()
        self.assertEqual(2, len(found))
        for size in found:
            self.assertGreaterEqual(int(size), requests)
