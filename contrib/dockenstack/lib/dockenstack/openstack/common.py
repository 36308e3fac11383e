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

"""What the configurations of the OpenStack services have in common."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib
import subprocess

from dockenstack.host import database
from dockenstack.host import messaging
from dockenstack import ini
from dockenstack import ready
from dockenstack.service import Service
from dockenstack import settings
from dockenstack.settings import GROUP
from dockenstack.settings import Home
from dockenstack.settings import LOOPBACK
from dockenstack.settings import PORTS
from dockenstack.settings import SERVICE_USER
from dockenstack import shell
from dockenstack.stamp import Stamp

Options = dict[str, ini.Value]

SCRIPTS = pathlib.Path(__file__).parents[1] / 'cloud'
PACKAGES = ('uwsgi-core', 'uwsgi-plugin-python3')
MEMCACHED = f'{LOOPBACK}:{PORTS["memcached"]}'

WSGI_OPTIONS = ('--socket-timeout', '60')


def credentials(home: Home, user: str) -> Options:
    """Options with which one service logs in to Keystone."""
    return {
        'auth_type': 'password',
        'auth_url': settings.url('keystone'),
        'username': user,
        'password': home.password(user),
        'user_domain_name': 'Default',
        'project_name': 'service',
        'project_domain_name': 'Default',
        'region_name': settings.REGION,
    }


def authtoken(home: Home, user: str) -> Options:
    """Options of the middleware that checks tokens."""
    options = credentials(home, user)
    # The middleware's group knows no such option: it asks for none.
    region = options.pop('region_name')
    return {**options, 'www_authenticate_uri': settings.url('keystone'),
            'memcached_servers': MEMCACHED, 'region_name': region,
            'service_token_roles_required': True,
            'service_token_roles': 'service'}


def sections(home: Home, user: str, *,
             schema: str | None = None) -> dict[str, Options]:
    """The sections that most services share."""
    state = home.data / user
    found: dict[str, Options] = {
        'DEFAULT': {'host': settings.HOST,
                    'transport_url': messaging.transport_url(home),
                    'state_path': state},
        'keystone_authtoken': authtoken(home, user),
        'oslo_concurrency': {'lock_path': state / 'locks'},
        }
    if schema:
        found['database'] = pool(home, schema)
    return found


def pool(home: Home, schema: str) -> Options:
    return {'connection': database.url(home, schema), 'max_pool_size': 10,
            'max_overflow': 20}


def configure(home: Home, path: pathlib.Path,
              sections: ini.Sections) -> None:
    """Write a configuration, with the developer's own options over ours.

    Those are in a file of the same name below ``local``.
    """
    ini.write(path, ini.overridden(
        sections, home.local / path.relative_to(home.etc)))


def wsgi(home: Home, name: str, module: str, *,
         configuration: Sequence[pathlib.Path],
         env: Mapping[str, str] | None = None, arguments: str = '',
         processes: int = 1, threads: int = 1, path: str = '/',
         paste: pathlib.Path | None = None) -> Service:
    """A WSGI application under uWSGI, which speaks HTTP itself.

    :param module: where it is
    :param paste: what makes it instead, if its module looks in /etc alone
    """
    port = PORTS[name]
    application = (['--paste', f'config:{paste}'] if paste else
                   ['--module', f'{module}:application'])
    command = [
        '/usr/bin/uwsgi', '--plugins', 'python3',
        '--virtualenv', str(home.venv),
        *application,
        '--http-socket', f'{LOOPBACK}:{port}',
        '--processes', str(processes), '--threads', str(threads),
        '--enable-threads', '--master', '--lazy-apps', '--need-app',
        '--die-on-term', '--no-orphans', '--thunder-lock',
        '--disable-logging', '--buffer-size', '65535',
        '--add-header', 'Connection: close', *WSGI_OPTIONS]
    if arguments:
        command += ['--pyargv', arguments]
    return Service(
        name=name, user=SERVICE_USER, env=env or {},
        command=tuple(command), address=settings.url(name), ports=(port,),
        configuration=(*configuration, Stamp(home, 'venv').path),
        ready=ready.http(settings.url(name) + path))


def daemon(home: Home, name: str, *arguments: str,
           configuration: Sequence[pathlib.Path],
           queues: Sequence[str] = (), user: str = SERVICE_USER,
           env: Mapping[str, str] | None = None) -> Service:
    """A service without HTTP; it is ready once it takes messages."""
    files = [word for path in configuration
             for word in ('--config-file', str(path))]
    program, *rest = arguments
    return Service(
        name=name, user=user, env=env or {},
        command=(str(home.bin / program), *rest, *files),
        address=', '.join(queues),
        configuration=(*configuration, Stamp(home, 'venv').path),
        ready=(ready.consumed(home, *queues) if queues
               else ready.at_once))


def also(service: Service, *configuration: pathlib.Path) -> Service:
    """The same service, restarted when more files change."""
    return dataclasses.replace(
        service, configuration=(*service.configuration, *configuration))


def wanted(home: Home, name: str) -> Stamp:
    """Says that the cloud has a project that not every cloud has."""
    return Stamp(home, f'with-{name}')


def manage(home: Home, program: str, configuration: pathlib.Path,
           *arguments: str, env: Mapping[str, str] | None = None,
           good: Sequence[int] = (0,)) -> None:
    """Run a management command of a service, as the services' user.

    :param good: what it may end with
    """
    shell.run(home.bin / program, '--config-file', configuration, *arguments,
              user=SERVICE_USER, group=GROUP, extra_groups=[], cwd='/',
              env=shell.clean_environment(HOME='/nonexistent', **env or {}),
              good=good)


def in_cloud(home: Home, script: str, request: object) -> str:
    """Run a module of `dockenstack.cloud` with the cloud's Python.

    It gets the request as JSON on its standard input, so that no password
    shows in the list of processes; its standard output comes back.
    """
    done = subprocess.run(
        [home.bin / 'python', '-B', '-m', f'dockenstack.cloud.{script}'],
        input=json.dumps(request), capture_output=True, text=True,
        env=shell.clean_environment(
            **home.caches, PYTHONPATH=str(home.project / 'lib'),
            OS_CLIENT_CONFIG_FILE=str(home.clouds)))
    shell.note(done.stderr)
    if done.returncode:
        raise shell.Failure(f'dockenstack.cloud.{script} failed: '
                            f'{done.stderr.strip().splitlines()[-1:]}')
    return done.stdout
