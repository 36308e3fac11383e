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

"""Barbican: the keys and certificates of users, encrypted in MariaDB."""

import base64
import pathlib

from dockenstack.host import python
from dockenstack.openstack import common
from dockenstack.service import Service
from dockenstack import settings
from dockenstack.settings import GROUP
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack import shell

NAME = 'barbican'


def conf(home: Home) -> pathlib.Path:
    return home.etc / NAME / 'barbican.conf'


def environment(home: Home) -> dict[str, str]:
    """It takes no argument that names its configuration, but looks at home."""
    return {'HOME': str(conf(home).parent)}


def configure(home: Home) -> None:
    sections = common.sections(home, NAME, schema=NAME)
    sections['DEFAULT']['host_href'] = settings.url(NAME)
    # 32 bytes, which is what Fernet wants.
    key = base64.urlsafe_b64encode(home.password('barbican-key').encode())
    common.configure(home, conf(home), {
        **sections, 'simple_crypto_plugin': {'kek': key.decode()}})


def client(home: Home) -> dict[str, common.Options]:
    """What makes it the key manager of another service, where there is one."""
    if not common.wanted(home, NAME).exists():
        return {}
    return {
        'key_manager': {'backend': 'barbican'},
        'barbican': {'auth_endpoint': settings.url('keystone') + '/v3',
                     'barbican_region_name': settings.REGION},
    }


def sync(home: Home) -> None:
    shell.run(home.bin / 'barbican-db-manage', 'upgrade', user=SERVICE_USER,
              group=GROUP, extra_groups=[], cwd='/',
              env=shell.clean_environment(**environment(home)))


def services(home: Home) -> list[Service]:
    service = common.wsgi(
        home, NAME, 'barbican.wsgi.api', configuration=[conf(home)],
        paste=home.venv / 'etc' / 'barbican' / 'barbican-api-paste.ini',
        env=environment(home), threads=4)
    return [common.also(service, python.added(home, NAME).path)]
