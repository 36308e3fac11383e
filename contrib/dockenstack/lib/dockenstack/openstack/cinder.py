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

"""Cinder: API, scheduler, and volumes that are files below the home."""

import pathlib

from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.settings import HOST
from dockenstack.settings import SERVICE_USER
from dockenstack.settings import VOLUME_USER
from dockenstack import shell

PACKAGES = ('sudo', 'qemu-utils', 'mount')
BACKEND = 'files'
# The type of volumes that several servers may have.
MULTIATTACH = 'multiattach'
# What cinder-volume may run as root, besides what Cinder's own filters say.
FILTERS = """\
[Filters]
losetup: CommandFilter, losetup, root
"""


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'cinder' / 'cinder.conf'


def volume_conf(home: Home) -> pathlib.Path:
    return home.etc / 'cinder' / 'volume.conf'


def storage_driver(home: Home) -> pathlib.Path:
    """Our copy of `cloud/volumes.py`: a checkout may be root's alone."""
    return home.etc / 'cinder' / 'python' / 'dockenstack_volumes.py'


def configure(home: Home) -> None:
    users.own(home.data / 'cinder', SERVICE_USER)
    share = home.venv / 'etc' / 'cinder'
    sections = shared(home)
    sections['DEFAULT'].update({
        'auth_strategy': 'keystone',
        'api_paste_config': share / 'api-paste.ini',
        'resource_query_filters_file': share / 'resource_filters.json',
    })
    common.configure(home, conf(home), {
        **sections,
        'keystone_authtoken': common.authtoken(home, 'cinder')})
    configure_volume(home)


def configure_volume(home: Home) -> None:
    """The volume service: an unprivileged user, root by rootwrap alone."""
    state = users.own(home.data / 'cinder-volume', VOLUME_USER)
    filters = home.etc / 'cinder' / 'rootwrap.d'
    shell.write(filters / 'volumes.filters', FILTERS)
    users.allow_rootwrap(home, VOLUME_USER, 'cinder', filters)
    shell.write(storage_driver(home),
                (common.SCRIPTS / 'volumes.py').read_text())
    sections = shared(home)
    sections['DEFAULT'].update({
        'state_path': state,
        'enabled_backends': BACKEND,
        'rootwrap_config': users.rootwrap_conf('cinder'),
    })
    sections['oslo_concurrency'] = {'lock_path': state / 'locks'}
    module = storage_driver(home).stem
    common.configure(home, volume_conf(home), {
        **sections,
        BACKEND: {'volume_backend_name': BACKEND,
                  'volume_driver': f'{module}.FileDriver'}})


def shared(home: Home) -> dict[str, common.Options]:
    """What all of Cinder's services have in common."""
    sections = common.sections(home, 'cinder', schema='cinder')
    del sections['keystone_authtoken']
    user = common.credentials(home, 'cinder')
    return {
        **sections,
        # Who is told that an attached volume has grown.
        'nova': user,
        'service_user': {**user, 'send_service_user_token': True},
    }


def sync(home: Home) -> None:
    common.manage(home, 'cinder-manage', conf(home), 'db', 'sync')


def services(home: Home) -> list[Service]:
    """All of them, in the order in which they start."""
    return [
        common.wsgi(
            home, 'cinder', 'cinder.wsgi.api', configuration=[conf(home)],
            arguments=f'--config-file {conf(home)}'),
        common.daemon(home, 'cinder-scheduler', 'cinder-scheduler',
                      configuration=[conf(home)], queues=['cinder-scheduler']),
        volume(home),
    ]


def volume(home: Home) -> Service:
    driver = storage_driver(home)
    service = common.daemon(
        home, 'cinder-volume', 'cinder-volume', user=VOLUME_USER,
        configuration=[volume_conf(home)],
        env={'PYTHONPATH': str(driver.parent)},
        queues=[f'cinder-volume.{HOST}@{BACKEND}.{HOST}'])
    return common.also(service, driver)


def start(home: Home, supervisor: Supervisor) -> str:
    # The scheduler has to hear what cinder-volume says as it starts.
    *others, volumes = services(home)
    supervisor.ensure_all(others)
    supervisor.ensure(volumes)
    return f'{settings.url("cinder")}, cinder-volume runs as {VOLUME_USER}'
