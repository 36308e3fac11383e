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

"""Cinder's API: Nova asks it for attachments, volumes or not."""

import pathlib

from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'cinder' / 'cinder.conf'


def configure(home: Home) -> None:
    users.own(home.data / 'cinder', SERVICE_USER)
    share = home.venv / 'etc' / 'cinder'
    sections = common.sections(home, 'cinder', schema='cinder')
    sections['DEFAULT'].update({
        'auth_strategy': 'keystone',
        'api_paste_config': share / 'api-paste.ini',
        'resource_query_filters_file': share / 'resource_filters.json',
        'rootwrap_config': share / 'rootwrap.conf',
    })
    common.configure(home, conf(home), {
        **sections, 'nova': common.credentials(home, 'cinder')})


def sync(home: Home) -> None:
    common.manage(home, 'cinder-manage', conf(home), 'db', 'sync')


def service(home: Home) -> Service:
    return common.wsgi(
        home, 'cinder', 'cinder.wsgi.api', configuration=[conf(home)],
        arguments=f'--config-file {conf(home)}')


def start(home: Home, supervisor: Supervisor) -> str:
    supervisor.ensure(service(home))
    return settings.url('cinder')
