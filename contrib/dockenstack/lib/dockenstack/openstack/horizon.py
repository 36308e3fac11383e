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

"""Horizon: the cloud in a browser, its pages made of files made once."""

import dataclasses
import pathlib
import pprint
from typing import Any

from dockenstack.host import python
from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.openstack import glance
from dockenstack.service import Service
from dockenstack import settings
from dockenstack.settings import GROUP
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack import shell
from dockenstack.stamp import Stamp

NAME = 'horizon'
# It tells uWSGI which kind of file a browser gets.
PACKAGES = ('media-types',)
MODULE = 'openstack_dashboard'


def conf(home: Home) -> pathlib.Path:
    """What Horizon imports before the examples of its own package."""
    return home.etc / NAME / 'local' / 'local_settings.py'


def static(home: Home) -> pathlib.Path:
    return home.data / NAME / 'static'


def environment(home: Home) -> dict[str, str]:
    return {'PYTHONPATH': str(conf(home).parents[1]),
            'DJANGO_SETTINGS_MODULE': f'{MODULE}.settings'}


def options(home: Home) -> dict[str, Any]:
    """Horizon's settings, where it has not what we want."""
    return {
        'DEBUG': False,
        'ALLOWED_HOSTS': [settings.LOOPBACK],
        'SECRET_KEY': home.password(NAME),
        'OPENSTACK_KEYSTONE_URL': settings.url('keystone') + '/v3',
        'CACHES': {'default': {
            'BACKEND': 'django.core.cache.backends.memcached.PyMemcacheCache',
            'LOCATION': common.MEMCACHED, 'KEY_PREFIX': NAME}},
        'SESSION_ENGINE': 'django.contrib.sessions.backends.cache',
        'STATIC_ROOT': str(static(home)),
        'COMPRESS_OFFLINE': True,
        'AVAILABLE_THEMES': [('default', 'Default', 'themes/default')],
        # The only one that a container has.
        'CONSOLE_TYPE': 'SERIAL',
        # It is in a frame of the server's page, which Django forbids.
        'X_FRAME_OPTIONS': 'SAMEORIGIN',
        # A container's root is its image, not a volume, if nobody asks.
        'LAUNCH_INSTANCE_DEFAULTS': {'create_volume': False},
        'TIME_ZONE': 'UTC',
        'LOGGING': {
            'version': 1, 'disable_existing_loggers': False,
            'handlers': {'console': {'class': 'logging.StreamHandler'}},
            'root': {'handlers': ['console'], 'level': 'WARNING'}},
    }


def configure(home: Home) -> None:
    """Write its settings; what is in `local` comes after them."""
    users.own(home.data / NAME, SERVICE_USER)
    path = conf(home)
    lines = [f'{name} = {pprint.pformat(value)}'
             for name, value in options(home).items()]
    theirs = home.local / path.relative_to(home.etc)
    if theirs.exists():
        lines.append(theirs.read_text())
    shell.write(path.with_name('__init__.py'), '')
    shell.write(path, '\n'.join([*lines, '']), 0o640, users.group_id())


def collect(home: Home) -> None:
    """Put all that a browser gets unchanged into one directory."""
    stamp = Stamp(home, f'static-{NAME}')
    wanted = shell.digest(python.added(home, NAME).path, conf(home))
    if stamp.holds(wanted):
        return
    stamp.clear()
    for command in (['collectstatic', '--no-input', '--clear'],
                    ['compress', '--force']):
        shell.run(home.bin / 'python', '-m', 'django', *command,
                  '--verbosity', '0', user=SERVICE_USER, group=GROUP,
                  extra_groups=[], cwd='/',
                  env=shell.clean_environment(HOME='/nonexistent',
                                              **environment(home)))
    stamp.set(wanted)


def describe(home: Home) -> None:
    """Tell Glance, and so Horizon, which metadata mean something."""
    path = home.venv / 'etc' / 'glance' / 'metadefs'
    stamp = Stamp(home, f'metadefs-{NAME}')
    wanted = shell.digest(*sorted(path.glob('*.json')))
    if not stamp.holds(wanted):
        common.manage(home, 'glance-manage', glance.conf(home), 'db',
                      'load_metadefs', '--path', str(path), '--merge',
                      '--prefer_new')
        stamp.set(wanted)


def services(home: Home) -> list[Service]:
    service = common.wsgi(
        home, NAME, f'{MODULE}.wsgi', configuration=[conf(home)],
        env=environment(home), processes=2, threads=4, path='/auth/login/')
    service = dataclasses.replace(
        service, command=(*service.command, '--static-map',
                          f'/static={static(home)}'))
    return [common.also(service, python.added(home, NAME).path)]
