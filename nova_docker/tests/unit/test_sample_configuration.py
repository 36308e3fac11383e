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

"""The sample configuration in the tree says what the options are today."""

import pathlib

from oslo_config import cfg
from oslo_config import generator
from oslotest import base

import nova_docker

_ETC = pathlib.Path(nova_docker.__file__).parents[1] / 'etc' / 'nova'


class SampleConfigurationTestCase(base.BaseTestCase):
    def test_it_is_current(self) -> None:
        output = self.create_tempfiles([('sample', '')])[0]
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(['--config-file', str(_ETC / 'nova-docker-config-generator.conf'),
              '--output-file', output], project='oslo-config-generator')
        generator.generate(conf)
        self.assertEqual(
            pathlib.Path(output).read_text(),
            (_ETC / 'nova-docker.conf.sample').read_text(),
            'Run: PYTHONPATH=. oslo-config-generator --config-file '
            'etc/nova/nova-docker-config-generator.conf')
