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

"""Glance: images, in files below the home."""

import pathlib

from dockenstack.host import users
from dockenstack.openstack import barbican
from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'glance' / 'glance-api.conf'


def configure(home: Home) -> None:
    state = users.own(home.data / 'glance', SERVICE_USER)
    store = users.own(state / 'images', SERVICE_USER)
    sections = common.sections(home, 'glance', schema='glance')
    sections['DEFAULT'].pop('host')
    sections['DEFAULT'].pop('state_path')
    sections['DEFAULT'].update({
        'enabled_backends': 'file:file',
        'worker_self_reference_url': settings.url('glance'),
        'node_staging_uri': f'file://{state}/staging',
    })
    common.configure(home, conf(home), {
        **sections,
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': home.venv / 'etc/glance/glance-api-paste.ini'},
        'glance_store': {'default_backend': 'file'},
        'file': {'filesystem_store_datadir': store},
        'os_glance_staging_store': {
            'filesystem_store_datadir': state / 'staging'},
        'os_glance_tasks_store': {
            'filesystem_store_datadir': state / 'tasks'},
        # With which it checks signatures.
        **barbican.client(home),
    })


def sync(home: Home) -> None:
    common.manage(home, 'glance-manage', conf(home), 'db_sync')


def service(home: Home) -> Service:
    # Threads: one long upload must not keep everyone else waiting.
    return common.wsgi(
        home, 'glance', 'glance.wsgi.api', configuration=[conf(home)],
        env={'OS_GLANCE_CONFIG_DIR': str(conf(home).parent)},
        threads=8, path='/versions')


def start(home: Home, supervisor: Supervisor) -> str:
    supervisor.ensure(service(home))
    return settings.url('glance')
