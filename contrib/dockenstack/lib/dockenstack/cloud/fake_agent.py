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

"""Report an Open vSwitch agent on the fake host, so that its ports bind.

Run by the cloud's Python with Neutron's --config-file options. There is no
switch behind it, as there is no container behind Nova's fake driver.
"""

import sys
import time
from typing import Any

from neutron.agent import rpc as agent_rpc
from neutron.common import config
from neutron.conf.agent import common as agent_conf
from neutron_lib import constants
from neutron_lib import context
from neutron_lib import rpc
from oslo_config import cfg

SECONDS = 20


def state(host: str) -> dict[str, Any]:
    return {
        'binary': constants.AGENT_PROCESS_OVS,
        'host': host,
        'topic': constants.L2_AGENT_TOPIC,
        'agent_type': constants.AGENT_TYPE_OVS,
        'start_flag': True,
        'configurations': {
            'bridge_mappings': {}, 'tunnel_types': ['vxlan'],
            'integration_bridge': 'br-int', 'datapath_type': 'system',
            'extensions': [], 'devices': 0},
    }


def main() -> None:
    config.register_common_config_options()
    agent_conf.register_agent_state_opts_helper(cfg.CONF)
    config.init(sys.argv[1:])
    config.setup_logging()
    rpc.init(cfg.CONF)
    reporter = agent_rpc.PluginReportStateAPI('q-reports-plugin')
    report = state(cfg.CONF.host)
    while True:
        reporter.report_state(context.get_admin_context(), report, True)
        report.pop('start_flag', None)
        time.sleep(SECONDS)


if __name__ == '__main__':
    main()
