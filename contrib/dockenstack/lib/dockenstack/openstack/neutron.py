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

"""Neutron: ML2 with Open vSwitch, security groups, DHCP, L3, metadata."""

import pathlib

from dockenstack.host import openvswitch
from dockenstack.host import users
from dockenstack import ini
from dockenstack.openstack import common
from dockenstack import processes
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import EXTERNAL_GATEWAY
from dockenstack.settings import Home
from dockenstack.settings import HOST
from dockenstack.settings import PORTS
from dockenstack.settings import SERVICE_USER
from dockenstack import shell

PACKAGES = ('dnsmasq-base', 'haproxy', 'iptables', 'conntrack', 'ipset',
            'iputils-arping', 'iproute2', 'procps')
PRIVSEP_CONTEXTS = ('privsep', 'privsep_dhcp_release', 'privsep_ovs_vsctl',
                    'privsep_namespace', 'privsep_conntrack',
                    'privsep_link')
AGENTS = ('neutron-ovs', 'neutron-dhcp', 'neutron-l3', 'neutron-metadata')

# VXLAN takes 50 bytes: with this, every network and its routers have 1500.
PHYSICAL_MTU = 1550


def directory(home: Home) -> pathlib.Path:
    return home.etc / 'neutron'


def server_files(home: Home) -> list[pathlib.Path]:
    return [directory(home) / 'neutron.conf', directory(home) / 'ml2.ini']


def agent_files(home: Home, name: str) -> list[pathlib.Path]:
    return [directory(home) / 'agent.conf', directory(home) / f'{name}.ini']


def shared_secret(home: Home) -> str:
    return home.password('metadata-proxy')


def configure(home: Home) -> None:
    _configure_server(home)
    _configure_agents(home)


def _configure_server(home: Home) -> None:
    users.own(home.data / 'neutron', SERVICE_USER)
    sections = common.sections(home, 'neutron', schema='neutron')
    sections['DEFAULT'].update({
        'core_plugin': 'ml2',
        'service_plugins': 'router,auto_allocate,qos,trunk',
        'global_physnet_mtu': PHYSICAL_MTU,
        'rpc_workers': 1,
        'rpc_state_report_workers': 0,
        'setproctitle': 'off',
        'api_paste_config': home.venv / 'etc/neutron/api-paste.ini',
        'notify_nova_on_port_status_changes': True,
        'notify_nova_on_port_data_changes': True,
        # Nova waits for these at each boot.
        'send_events_interval': 1,
    })
    sections['nova'] = common.credentials(home, 'nova')
    server, ml2 = server_files(home)
    common.configure(home, server, sections)
    common.configure(home, ml2, {
        'ml2': {'type_drivers': 'flat,vxlan',
                'tenant_network_types': 'vxlan',
                'mechanism_drivers': 'openvswitch',
                'extension_drivers': 'port_security,qos',
                'path_mtu': PHYSICAL_MTU,
                'physical_network_mtus': 'public:1500'},
        'ml2_type_flat': {'flat_networks': 'public'},
        'ml2_type_vxlan': {'vni_ranges': '1:1000'},
        'securitygroup': {'enable_security_group': True},
    })


def _configure_agents(home: Home) -> None:
    state = home.data / 'neutron-agents'
    state.mkdir(exist_ok=True)
    sections = common.sections(home, 'neutron')
    del sections['keystone_authtoken']
    sections['DEFAULT'].update({
        'state_path': state, 'setproctitle': 'off',
        'interface_driver': 'openvswitch'})
    sections['oslo_concurrency'] = {'lock_path': state / 'locks'}
    base = directory(home) / 'agent.conf'
    sections['agent'] = {
        'root_helper': _root_helper(home),
        'report_interval': 15}
    sections['ovs'] = {'ovsdb_connection': openvswitch.connection(home)}
    for name in PRIVSEP_CONTEXTS:
        sections[name] = {'helper_command': (
            f'{home.bin}/privsep-helper --config-file {base}')}
    common.configure(home, base, sections)
    for name, specific in _specific(home).items():
        common.configure(home, directory(home) / f'{name}.ini', specific)


def _root_helper(home: Home) -> pathlib.Path:
    """A copy of `as-child`: the checkout may go while the agents run."""
    path = home.etc / 'neutron' / 'as-child'
    shell.write(path, (home.project / 'lib/as-child').read_text(), 0o755)
    return path


def _specific(home: Home) -> dict[str, ini.Sections]:
    """What each agent has of its own."""
    return {
        'neutron-ovs': {
            'ovs': {'bridge_mappings': 'public:br-ex',
                    'local_ip': EXTERNAL_GATEWAY,
                    'datapath_type': openvswitch.datapath_type(),
                    'of_listen_port': PORTS['openflow'],
                    # Or tc would be asked, which the userspace datapath
                    # bypasses and not every kernel has all of.
                    'qos_meter_bandwidth': True},
            'agent': {'tunnel_types': 'vxlan', 'extensions': 'qos',
                      # Every boot waits for the agent to look.
                      'polling_interval': 1},
            'securitygroup': {'firewall_driver': 'openvswitch'}},
        'neutron-dhcp': {
            'DEFAULT': {'enable_isolated_metadata': True}},
        'neutron-l3': {'DEFAULT': {'agent_mode': 'legacy'}},
        'neutron-metadata': {
            'DEFAULT': {'nova_metadata_host': settings.LOOPBACK,
                        'nova_metadata_port': PORTS['nova-metadata'],
                        'metadata_workers': 1,
                        'metadata_proxy_shared_secret':
                            shared_secret(home)}},
    }


def sync(home: Home) -> None:
    server, ml2 = server_files(home)
    common.manage(home, 'neutron-db-manage', server,
                  '--config-file', str(ml2), 'upgrade', 'heads')


def services(home: Home) -> list[Service]:
    """All of them, in the order in which they start."""
    files = server_files(home)
    api = common.wsgi(
        home, 'neutron', 'neutron.wsgi.api', configuration=files,
        env={'OS_NEUTRON_CONFIG_FILES': ';'.join(map(str, files))},
        processes=2)
    return [
        api,
        common.daemon(home, 'neutron-rpc', 'neutron-rpc-server',
                      configuration=files,
                      queues=['q-plugin', 'q-l3-plugin', 'q-reports-plugin']),
        common.daemon(home, 'neutron-periodic', 'neutron-periodic-workers',
                      configuration=files),
        _agent(home, 'neutron-ovs', 'neutron-openvswitch-agent',
               f'q-agent-notifier-tunnel-update.{HOST}'),
        _agent(home, 'neutron-dhcp', 'neutron-dhcp-agent',
               f'dhcp_agent.{HOST}'),
        _agent(home, 'neutron-l3', 'neutron-l3-agent', f'l3_agent.{HOST}'),
        _agent(home, 'neutron-metadata', 'neutron-metadata-agent'),
    ]


def _agent(home: Home, name: str, program: str, *queues: str) -> Service:
    return common.daemon(
        home, name, program, configuration=agent_files(home, name),
        queues=queues, user='root', env=openvswitch.environment(home))


def stop_agents(home: Home, supervisor: Supervisor) -> None:
    """Stop what works on the switch, and what that has started."""
    supervisor.stop_all([service for service in services(home)
                         if service.name in AGENTS])


def start(home: Home, supervisor: Supervisor) -> str:
    every = services(home)
    agents = [service for service in every if service.name in AGENTS]
    supervisor.ensure_all(
        [service for service in every if service not in agents])
    # An agent that calls before its server listens waits a minute or more.
    supervisor.ensure_all(agents)
    count = sum(len(processes.marked(home, name)) for name in AGENTS)
    return f'{settings.url("neutron")}, agents and helpers: {count} processes'
