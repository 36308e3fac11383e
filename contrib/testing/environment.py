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

"""The environment variables that every program of a run is started with."""

from collections.abc import Mapping
import pathlib

_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
#: What the caller's shell may have and a test must not see: an openrc, another
#: virtual environment, another engine.
_FOREIGN = ('OS_', 'PYTHON', 'VIRTUAL_ENV', 'DOCKER_', 'TEMPEST_', 'PBR_')


def clean(inherited: Mapping[str, str], source: pathlib.Path,
          venv: pathlib.Path) -> dict[str, str]:
    """What is inherited, without what could change a test's result."""
    env = {key: value for key, value in inherited.items()
           if not key.startswith(_FOREIGN)}
    env.setdefault('HOME', '/root')
    env['PATH'] = f'{venv}/bin:{inherited.get("PATH") or _PATH}'
    env['LC_ALL'] = 'C.UTF-8'
    env['PYTHONDONTWRITEBYTECODE'] = '1'
    return env | _trusted(env, source)


def _trusted(env: Mapping[str, str], source: pathlib.Path) -> dict[str, str]:
    """Let git, and so pbr, read a checkout that another user owns."""
    number = int(env.get('GIT_CONFIG_COUNT') or 0)
    return {
        'GIT_CONFIG_COUNT': str(number + 1),
        f'GIT_CONFIG_KEY_{number}': 'safe.directory',
        f'GIT_CONFIG_VALUE_{number}': str(source),
    }
