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

"""The configuration with which Tempest judges this cloud."""

import json
import pathlib
from typing import NamedTuple

from dockenstack.host import second as host
from dockenstack import ini
from dockenstack.openstack import cinder
from dockenstack.openstack import common
from dockenstack.openstack import nova
from dockenstack.openstack import second
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack import shell


class Feature(NamedTuple):
    """Whether Tempest shall test something of the compute service, and why."""

    name: str
    enabled: bool
    reason: str


FEATURES = (
    Feature('console_output', True, 'the end of the container\'s log'),
    Feature('interface_attach', True, 'while the container runs'),
    Feature('metadata_service', True, 'at 169.254.169.254, by Neutron'),
    Feature('pause', True, 'the control group is frozen'),
    Feature('suspend', True, 'frozen, or a checkpoint on disk'),
    Feature('snapshot', True, 'the container is committed and uploaded'),
    Feature('shelve', True, 'a snapshot, and a boot from it'),
    Feature('rescue', True, 'with its own root file system at /rescue'),
    Feature('stable_rescue', True, 'whatever device the image asks for'),
    Feature('ide_bus', True, 'asked for by a rescue image, and ignored'),
    Feature('resize', True, 'limits of the running container'),
    Feature('cold_migration', True, 'through Glance'),
    Feature('change_password', True, 'by chpasswd in the container'),
    Feature('enable_instance_password', True, 'Nova makes them up'),
    Feature('config_drive', True, 'a directory, mounted at /config-drive'),
    Feature('personality', True, 'files, which old versions of the API take'),
    Feature('serial_console', True, 'the container\'s terminal'),
    Feature('disk_config', True, 'the API takes it; there is no partition'),
    Feature('hostname_fqdn_sanitization', True, 'Nova does it'),
    Feature('shelve_migrate', True, 'as any server'),
    Feature('live_migration', False, 'a container\'s memory stays here'),
    Feature('attach_encrypted_volume', False, 'not without dm-crypt'),
    Feature('swap_volume', True, 'the driver copies what is in it'),
    Feature('volume_multiattach', False,
            'one writer at a time, or the file system breaks'),
    Feature('vnc_console', False, 'a container has no screen'),
    Feature('spice_console', False, 'a container has no screen'),
)

#: What migrates, and where, if there are two hosts.
BETWEEN = {'migration_source_host': settings.HOST,
           'migration_dest_host': host.HOST}


def workspace(home: Home) -> pathlib.Path:
    return home.root / 'tempest'


def image_file(home: Home) -> pathlib.Path:
    """The image that scenarios upload themselves."""
    return workspace(home) / 'ssh.tar.zst'


def compress(archive: pathlib.Path, target: pathlib.Path) -> None:
    """Compress an image, which Tempest would take apart as a tar archive."""
    draft = target.with_suffix('.new')
    shell.run('zstd', '--quiet', '--force', archive, '-o', draft)
    draft.replace(target)


def configuration(home: Home, as_demo: bool = False) -> pathlib.Path:
    """Where tempest.conf is, or the one for tests of the user demo."""
    name = 'tempest-demo.conf' if as_demo else 'tempest.conf'
    return workspace(home) / 'etc' / name


def configure(home: Home, found: dict[str, str]) -> None:
    """Write both; `found` has the ids of images, flavors, network."""
    sections = _sections(home, found)
    ini.write(configuration(home), sections)
    accounts = workspace(home) / 'etc' / 'accounts.yaml'
    user = {'username': 'demo', 'password': home.password('demo'),
            'project_name': 'demo', 'project_domain_name': 'Default',
            'user_domain_name': 'Default',
            'resources': {'network': 'private'}}
    # All that is JSON is YAML. Tempest also asks for a reader, which a member
    # is, and gives nobody twice: so he is told in two ways.
    shell.write(accounts, json.dumps([
        {**user, 'roles': ['member']},
        {**user, 'roles': ['reader'], 'tenant_name': 'demo'}]), 0o600)
    ini.write(configuration(home, as_demo=True), {
        **sections, 'auth': {**sections['auth'],
                             'use_dynamic_credentials': False,
                             'test_accounts_file': accounts}})


def _sections(home: Home, found: dict[str, str]) -> ini.Sections:
    place = workspace(home)
    image: common.Options = {
        'img_disk_format': 'raw', 'img_container_format': 'docker',
        'img_file': image_file(home), 'dhcp_client': ''}
    two_hosts = second.present(home).exists()
    return {
        'DEFAULT': {'log_dir': place / 'logs', 'debug': True},
        'oslo_concurrency': {'lock_path': place / 'locks'},
        'auth': {'use_dynamic_credentials': True,
                 'create_isolated_networks': True,
                 'admin_username': 'admin',
                 'admin_password': home.password('admin'),
                 'admin_project_name': 'admin',
                 'admin_domain_name': 'Default'},
        'identity': {'auth_version': 'v3', 'region': settings.REGION,
                     'uri_v3': settings.url('keystone') + '/v3'},
        'service_available': {'nova': True, 'neutron': True, 'glance': True,
                              'cinder': True, 'swift': False},
        'compute': {'image_ref': found['image'],
                    'image_ref_alt': found['image_alt'],
                    'flavor_ref': found['flavor'],
                    'flavor_ref_alt': found['flavor_alt'],
                    'fixed_network_name': 'private',
                    'min_compute_nodes': 2 if two_hosts else 1,
                    **(BETWEEN if two_hosts else {}),
                    'max_microversion': 'latest',
                    'hypervisor_type': 'docker',
                    **({'certified_image_ref': found['certified_image'],
                        'certified_image_trusted_certs': found['certificate']}
                       if 'certificate' in found else {}),
                    'build_interval': 1, 'build_timeout': 180},
        'compute-feature-enabled': {
            **{feature.name: feature.enabled for feature in FEATURES},
            'scheduler_enabled_filters': ','.join(nova.FILTERS)},
        'network': {'public_network_id': found['public'],
                    'floating_network_name': 'public',
                    'project_network_cidr': '10.100.0.0/16',
                    'build_interval': 1},
        'network-feature-enabled': {'ipv6': False, 'port_security': True},
        'volume': {'build_interval': 1, 'backend_names': cinder.BACKEND,
                   'storage_protocol': 'local', 'vendor_name': 'dockenstack',
                   'volume_type_multiattach': cinder.MULTIATTACH,
                   'disk_format': 'raw', 'min_microversion': '3.0',
                   'max_microversion': 'latest'},
        'volume-feature-enabled': {'backup': False, 'snapshot': True,
                                   'clone': True,
                                   'extend_attached_volume': True},
        'image': {'build_interval': 1, 'disk_formats': 'raw',
                  'container_formats': 'docker'},
        'validation': {'run_validation': True, 'connect_method': 'floating',
                       'image_ssh_user': 'root', 'image_alt_ssh_user': 'root',
                       'auth_method': 'keypair', 'ssh_timeout': 120,
                       'ping_timeout': 120, 'network_for_ssh': 'public'},
        'scenario': image,
    }
