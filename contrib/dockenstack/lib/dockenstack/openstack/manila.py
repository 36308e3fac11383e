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

"""Manila: API, scheduler, and shares that are directories below the home."""

import pathlib

from dockenstack.host import python
from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.settings import HOST
from dockenstack.settings import SERVICE_USER
from dockenstack.settings import SHARE_USER
from dockenstack import shell

NAME = 'manila'
BACKEND = 'directories'
TYPE = 'default'
# What manila-share may run as root, besides what Manila's own filters say.
FILTERS = """\
[Filters]
rm: RegExpFilter, rm, root, rm, -rf, --, {shares}/[0-9a-f-]+
"""


def conf(home: Home) -> pathlib.Path:
    return home.etc / NAME / 'manila.conf'


def share_conf(home: Home) -> pathlib.Path:
    return home.etc / NAME / 'share.conf'


def storage_driver(home: Home) -> pathlib.Path:
    """Our copy of `cloud/shares.py`: a checkout may be root's alone."""
    return home.etc / NAME / 'python' / 'dockenstack_shares.py'


def state(home: Home) -> pathlib.Path:
    return home.data / 'manila-share'


def configure(home: Home) -> None:
    own = users.own(home.data / NAME, SERVICE_USER)
    sections = _shared(home, own)
    sections['DEFAULT'].update({
        'api_paste_config': home.venv / 'etc' / NAME / 'api-paste.ini',
        'auth_strategy': 'keystone'})
    common.configure(home, conf(home), {
        **sections,
        'keystone_authtoken': common.authtoken(home, NAME)})
    _configure_share(home)


def _configure_share(home: Home) -> None:
    """The share service: an unprivileged user, root by rootwrap alone."""
    # Who has a share goes through it.
    own = users.own(state(home), SHARE_USER, 0o755)
    filters = home.etc / NAME / 'rootwrap.d'
    shell.write(filters / 'shares.filters',
                FILTERS.format(shares=own / 'shares'))
    users.allow_rootwrap(home, SHARE_USER, NAME, filters)
    shell.write(storage_driver(home),
                (common.SCRIPTS / 'shares.py').read_text())
    sections = _shared(home, own)
    sections['DEFAULT'].update({
        'enabled_share_backends': BACKEND,
        'rootwrap_config': users.rootwrap_conf(NAME)})
    common.configure(home, share_conf(home), {
        **sections,
        BACKEND: {
            'share_backend_name': BACKEND,
            'driver_handles_share_servers': False,
            'share_driver': f'{storage_driver(home).stem}.DirectoryDriver'}})


def _shared(home: Home, own: pathlib.Path) -> dict[str, common.Options]:
    """What all of Manila's services have in common."""
    sections = common.sections(home, NAME, schema=NAME)
    del sections['keystone_authtoken']
    sections['DEFAULT'].update({
        'state_path': own, 'my_ip': settings.LOOPBACK,
        'default_share_type': TYPE, 'enabled_share_protocols': 'NFS'})
    sections['oslo_concurrency'] = {'lock_path': own / 'locks'}
    return sections


def client(home: Home) -> dict[str, common.Options]:
    """What lets Nova ask for shares, where there are any."""
    if not common.wanted(home, NAME).exists():
        return {}
    return {'manila': common.credentials(home, 'nova')}


def local_exports(home: Home) -> common.Options:
    """What tells the driver that the shares are directories of this host."""
    if not common.wanted(home, NAME).exists():
        return {}
    return {'local_exports': f'{settings.LOOPBACK}:{state(home)}/shares'}


def sync(home: Home) -> None:
    common.manage(home, 'manila-manage', conf(home), 'db', 'sync')


def provide(home: Home) -> None:
    common.in_cloud(home, 'share_type', {'name': TYPE})


def services(home: Home) -> list[Service]:
    """All of them, in the order in which they start."""
    added = python.added(home, NAME).path
    driver = storage_driver(home)
    share = common.daemon(
        home, 'manila-share', 'manila-share', user=SHARE_USER,
        configuration=[share_conf(home)],
        env={'PYTHONPATH': str(driver.parent)},
        queues=[f'manila-share.{HOST}@{BACKEND}'])
    return [
        common.also(common.wsgi(
            home, NAME, 'manila.wsgi.api', configuration=[conf(home)],
            arguments=f'--config-file {conf(home)}'), added),
        common.also(common.daemon(
            home, 'manila-scheduler', 'manila-scheduler',
            configuration=[conf(home)], queues=['manila-scheduler']), added),
        # The scheduler has to hear what it says as it starts.
        common.also(share, added, driver),
    ]
