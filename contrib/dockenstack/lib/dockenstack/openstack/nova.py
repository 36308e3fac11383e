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

"""Nova: API, metadata, scheduler, conductor, consoles, compute service."""

import dataclasses
import json
import pathlib

from dockenstack.host import engine
from dockenstack.host import lxcfs
from dockenstack.host import openvswitch
from dockenstack.host import second
from dockenstack.host import users
from dockenstack.openstack import barbican
from dockenstack.openstack import common
from dockenstack.openstack import manila
from dockenstack.openstack import neutron
from dockenstack import ready
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import COMPUTE_USER
from dockenstack.settings import ETC_LINK
from dockenstack.settings import Home
from dockenstack.settings import HOST
from dockenstack.settings import SERVICE_USER
from dockenstack import shell
from dockenstack.stamp import Stamp

PACKAGES = ('sudo', 'iproute2', 'ethtool', 'zstd', 'mount', 'e2fsprogs',
            'xfsprogs')
SCHEMAS = ('nova_api', 'nova_cell0', 'nova')
PRIVSEP_CONTEXTS = ('nova_sys_admin', 'privsep_osbrick',
                    'vif_plug_ovs_privileged', 'docker_network_privileged',
                    'docker_storage_privileged', 'docker_proc_privileged',
                    'docker_mount_privileged', 'docker_root_privileged')
FILTERS = ('ComputeFilter', 'ComputeCapabilitiesFilter',
           'ImagePropertiesFilter', 'ServerGroupAntiAffinityFilter',
           'ServerGroupAffinityFilter', 'SameHostFilter',
           'DifferentHostFilter', 'NUMATopologyFilter')
NOVA_MANAGE = common.SCRIPTS / 'nova_manage.py'


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'nova' / 'nova.conf'


def compute_conf(home: Home) -> pathlib.Path:
    return home.etc / 'nova' / 'compute.conf'


def console_url() -> str:
    """The address of the consoles, to which Nova adds a token."""
    return f'ws://{settings.LOOPBACK}:{settings.PORTS["nova-serialproxy"]}/'


def configure(home: Home) -> None:
    users.own(home.data / 'nova', SERVICE_USER)
    sections = shared(home)
    # The fake host, if there is one, has a zone of its own.
    sections['DEFAULT']['default_schedule_zone'] = 'nova'
    common.configure(home, conf(home), {
        **sections,
        'keystone_authtoken': common.authtoken(home, 'nova'),
        'database': common.pool(home, 'nova'),
        'api_database': common.pool(home, 'nova_api'),
        # Validation of responses as errors breaks an API of Nova 34.
        'api': {'response_validation': 'warn', 'auth_strategy': 'keystone'},
        'conductor': {'workers': 1},
        'scheduler': {'workers': 1},
        'serial_console': {
            **sections['serial_console'],
            'serialproxy_host': settings.LOOPBACK,
            'serialproxy_port': settings.PORTS['nova-serialproxy']},
        'quota': {'instances': 60, 'cores': 120, 'ram': 65536,
                  'server_groups': 50},
        'filter_scheduler': {'enabled_filters': ','.join(FILTERS)},
    })


def configure_compute(home: Home) -> None:
    """The compute service: an unprivileged user, root by rootwrap alone."""
    state = users.own(home.data / 'nova-compute', COMPUTE_USER)
    users.join(COMPUTE_USER, engine.socket_group())
    users.allow_rootwrap(home, COMPUTE_USER, 'nova')
    common.configure(home, compute_conf(home), compute_sections(
        home, state, compute_conf(home).name))


def compute_sections(home: Home, state: pathlib.Path,
                     name: str) -> dict[str, common.Options]:
    """What a host of this driver has in its configuration.

    :param state: its own directory
    :param name: of the file that it is for
    """
    sections = shared(home)
    sections['DEFAULT'].update({
        'compute_driver': 'docker.DockerDriver', 'state_path': state,
        'compute_monitors': 'cpu.virt_driver'})
    helper = (f'sudo {home.bin}/nova-rootwrap {users.rootwrap_conf("nova")} '
              f'privsep-helper --config-file {ETC_LINK}/nova/{name}')
    for name in PRIVSEP_CONTEXTS:
        sections[name] = {'helper_command': helper}
    sections['oslo_concurrency'] = {'lock_path': state / 'locks'}
    return {
        **sections,
        # So that nobody who watches the cache has to wait for long.
        'image_cache': {'manager_interval': 60},
        'os_vif_ovs': {'ovsdb_connection': openvswitch.connection(home)},
        'docker': {'url': f'unix://{engine.socket_path()}',
                   # To grow ext4 takes a privilege that not every root has.
                   'volume_filesystem': 'xfs',
                   **manila.local_exports(home),
                   'lxcfs': 'required',
                   'lxcfs_path': lxcfs.path(home)},
    }


def shared(home: Home) -> dict[str, common.Options]:
    """What the controllers and the compute hosts have in common."""
    sections = common.sections(home, 'nova')
    del sections['keystone_authtoken']
    sections['DEFAULT'].update({
        'my_ip': settings.LOOPBACK,
        'vif_plugging_is_fatal': True,
        'vif_plugging_timeout': 120,
        'cpu_allocation_ratio': 16,
        'ram_allocation_ratio': 1.5,
        'reserved_host_memory_mb': 512,
        'default_availability_zone': 'nova',
        # As a rule there is one host to resize and migrate to.
        'allow_resize_to_same_host':
            not common.wanted(home, second.NAME).exists(),
    })
    user = common.credentials(home, 'nova')
    return {
        **sections,
        'placement': common.credentials(home, 'placement'),
        'neutron': {**common.credentials(home, 'neutron'),
                    'service_metadata_proxy': True,
                    'metadata_proxy_shared_secret':
                        neutron.shared_secret(home)},
        'glance': {'region_name': settings.REGION},
        'serial_console': {'enabled': True, 'base_url': console_url(),
                           'proxyclient_address': settings.LOOPBACK},
        'cinder': {**user, 'os_region_name': settings.REGION},
        'service_user': {**user, 'send_service_user_token': True},
        **barbican.client(home),
        **manila.client(home),
    }


def sync(home: Home) -> None:
    commands = [
        ['api_db', 'sync'],
        # Its database is named after that of [database]: nova_cell0.
        ['cell_v2', 'map_cell0'],
        ['db', 'sync'],
        ['cell_v2', 'create_cell', '--name', 'cell1'],
    ]
    # As root: others may have no access to the checkout.
    shell.run(home.bin / 'python', NOVA_MANAGE, conf(home),
              json.dumps(commands), env=shell.clean_environment(
                  **home.caches))


def services(home: Home) -> list[Service]:
    """The controllers."""
    files = [conf(home)]
    paste = home.venv / 'etc' / 'nova' / 'api-paste.ini'
    env = {'OS_NOVA_CONFIG_FILES': f'{paste};{conf(home)}'}
    return [
        common.daemon(home, 'nova-conductor', 'nova-conductor',
                      configuration=files, queues=['conductor']),
        common.daemon(home, 'nova-scheduler', 'nova-scheduler',
                      configuration=files, queues=['scheduler']),
        common.wsgi(home, 'nova', 'nova.wsgi.osapi_compute',
                    configuration=files, env=env, processes=2),
        common.wsgi(home, 'nova-metadata', 'nova.wsgi.metadata',
                    configuration=files, env=env, threads=4),
        serialproxy(home),
    ]


def serialproxy(home: Home) -> Service:
    """What leads from a user's websocket to a server's console."""
    service = common.daemon(home, 'nova-serialproxy', 'nova-serialproxy',
                            configuration=[conf(home)])
    port = settings.PORTS['nova-serialproxy']
    return dataclasses.replace(
        service, address=console_url(), ports=(port,),
        ready=ready.tcp(settings.LOOPBACK, port))


def compute(home: Home, host: str = HOST,
            configuration: pathlib.Path = ETC_LINK / 'nova/compute.conf'
            ) -> Service:
    service = common.daemon(
        home, 'nova-compute', 'nova-compute', queues=[f'compute.{host}'],
        configuration=[configuration], user=COMPUTE_USER)
    # A new driver is a new service.
    return common.also(service, Stamp(home, 'driver').path,
                       home.etc / 'nova' / 'rootwrap.conf')


def start(home: Home, supervisor: Supervisor) -> str:
    supervisor.ensure_all(services(home))
    return settings.url('nova')


def start_compute(home: Home, supervisor: Supervisor) -> str:
    configure_compute(home)
    started = supervisor.ensure(compute(home))
    discover(home, HOST)
    return f'nova-compute {"started" if started else "runs"} as {COMPUTE_USER}'


def discovered(home: Home, host: str) -> Stamp:
    """Says that a compute host is in its cell."""
    return Stamp(home, f'discovered-{host}')


def discover(home: Home, host: str) -> None:
    """Put a compute host into its cell when it is new."""
    stamp = discovered(home, host)
    if not stamp.exists():
        common.manage(home, 'nova-manage', conf(home), 'cell_v2',
                      'discover_hosts')
        stamp.set()


def forget(home: Home, host: str) -> None:
    """Remove all that the cloud knows of a compute host, which is stopped."""
    common.in_cloud(home, 'fake_host', {'host': host, 'zone': None})
    discovered(home, host).clear()
    _forgotten(home).set()


def _forgotten(home: Home) -> Stamp:
    return Stamp(home, 'forgotten-host')


def archive(home: Home) -> None:
    """Let a host that was forgotten come back under its name.

    For Nova's API it would be down, as its former self: that looks for the
    service of a host among the deleted ones, too.
    """
    if _forgotten(home).exists():
        # It ends with 1 if there was anything.
        common.manage(home, 'nova-manage', conf(home), 'db',
                      'archive_deleted_rows', '--until-complete', good=(0, 1))
        _forgotten(home).clear()
