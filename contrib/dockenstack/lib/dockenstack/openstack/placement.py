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

"""Placement: what the compute host has, and who uses it."""

import pathlib

from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'placement' / 'placement.conf'


def configure(home: Home) -> None:
    common.configure(home, conf(home), {
        'api': {'auth_strategy': 'keystone'},
        'keystone_authtoken': common.authtoken(home, 'placement'),
        'placement_database': common.pool(home, 'placement'),
    })


def sync(home: Home) -> None:
    common.manage(home, 'placement-manage', conf(home), 'db', 'sync')


def service(home: Home) -> Service:
    return common.wsgi(
        home, 'placement', 'placement.wsgi.api', configuration=[conf(home)],
        env={'OS_PLACEMENT_CONFIG_DIR': str(conf(home).parent)}, threads=4)


def start(home: Home, supervisor: Supervisor) -> str:
    supervisor.ensure(service(home))
    return settings.url('placement')
