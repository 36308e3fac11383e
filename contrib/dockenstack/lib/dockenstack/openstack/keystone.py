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

"""Keystone: identity, and the catalogue of all services."""

import base64
from collections.abc import Mapping
import json
import pathlib
import secrets

from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack import ready
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack import shell
from dockenstack.stamp import Stamp

SERVICES = {
    'glance': ('image', settings.url('glance')),
    'placement': ('placement', settings.url('placement')),
    'neutron': ('network', settings.url('neutron')),
    'nova': ('compute', settings.url('nova') + '/v2.1'),
    'cinder': ('block-storage', settings.url('cinder') + '/v3'),
}
#: Of bcrypt, the least. They slow down who guesses passwords that people have
#: chosen. Ours can't be guessed, and each login took a quarter of a second of
#: a core with Keystone's default.
ROUNDS = 4
CLOUDS = """\
clouds:
  admin:
    auth:
      auth_url: {url}
      username: admin
      password: {admin}
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
    region_name: {region}
  demo:
    auth:
      auth_url: {url}
      username: demo
      password: {demo}
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
    region_name: {region}
"""


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'keystone' / 'keystone.conf'


def configure(home: Home) -> None:
    keys = users.own(home.data / 'keystone', SERVICE_USER)
    common.configure(home, conf(home), {
        'database': common.pool(home, 'keystone'),
        'cache': {'enabled': True, 'backend': 'dogpile.cache.pymemcache',
                  'memcache_servers': common.MEMCACHED},
        'fernet_tokens': {'key_repository': keys / 'fernet-keys'},
        'fernet_receipts': {'key_repository': keys / 'fernet-keys'},
        'credential': {'key_repository': keys / 'credential-keys'},
        'token': {'expiration': 14400},
        'identity': {'password_hash_rounds': ROUNDS},
    })
    shell.write(home.clouds, CLOUDS.format(
        url=settings.url('keystone'), region=settings.REGION,
        admin=home.password('admin'), demo=home.password('demo')), 0o600)


def sync(home: Home) -> None:
    common.manage(home, 'keystone-manage', conf(home), 'db_sync')


def service(home: Home) -> Service:
    return common.wsgi(
        home, 'keystone', 'keystone.wsgi.api', configuration=[conf(home)],
        env={'OS_KEYSTONE_CONFIG_FILES': str(conf(home)),
             'OS_KEYSTONE_CONFIG_DIR': str(conf(home).parent)},
        arguments=f'--config-file {conf(home)}', processes=2, path='/v3')


def start(home: Home, supervisor: Supervisor) -> str:
    stamp = Stamp(home, 'keystone')
    if not stamp.exists():
        _bootstrap(home)
    supervisor.ensure(service(home))
    wanted = shell.digest(json.dumps(SERVICES), str(ROUNDS))
    if not stamp.holds(wanted):
        register(home, SERVICES, 'admin')
        stamp.set(wanted)
    return settings.url('keystone')


def _bootstrap(home: Home) -> None:
    for repository in ('fernet-keys', 'credential-keys'):
        _make_keys(home.data / 'keystone' / repository)
    url = settings.url('keystone') + '/v3'
    common.manage(
        home, 'keystone-manage', conf(home), 'bootstrap',
        '--bootstrap-admin-url', url, '--bootstrap-internal-url', url,
        '--bootstrap-public-url', url,
        '--bootstrap-region-id', settings.REGION,
        env={'OS_BOOTSTRAP_PASSWORD': home.password('admin')})


def register(home: Home, services: Mapping[str, tuple[str, str]],
             *renewed: str) -> None:
    """Have the users and end points of services, and the user `demo`.

    :param services: the type and the address of each
    :param renewed: users that are there, and get their passwords anew
    """
    shell.wait_until(ready.http(settings.url('keystone') + '/v3'), 30,
                     'keystone did not answer')
    common.in_cloud(home, 'catalogue', {
        'region': settings.REGION,
        'services': services,
        'passwords': {name: home.password(name)
                      for name in (*services, 'demo')},
        'renewed': {name: home.password(name) for name in renewed},
    })


def _make_keys(directory: pathlib.Path) -> None:
    """What `keystone-manage fernet_setup` makes: the first and next key."""
    users.own(directory, SERVICE_USER, 0o700)
    for name in ('0', '1'):
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        shell.write(directory / name, key, 0o640, users.group_id())
