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

"""A private MariaDB, reached over its socket only."""

import os
import pathlib
import shutil
import subprocess

from dockenstack.host import users
from dockenstack import ready
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack import shell

PACKAGES = ('mariadb-server-core', 'mariadb-client-core')

CONFIGURATION = """\
[mariadbd]
datadir = {data}
socket = {socket}
pid-file = {run}/mariadbd.pid
skip-networking
skip-name-resolve
skip-log-bin
character-set-server = utf8mb3
collation-server = utf8mb3_general_ci
max_connections = 400
innodb_buffer_pool_size = 192M
innodb_log_file_size = 64M
# A killed process loses nothing; only the machine's own fall may lose the
# last second.
innodb_flush_log_at_trx_commit = 2
performance_schema = off
"""


def directory(home: Home) -> pathlib.Path:
    return home.data / 'mariadb'


def socket(home: Home) -> pathlib.Path:
    return home.run / 'mariadb' / 'mariadb.sock'


def url(home: Home, database: str) -> str:
    return (f'mysql+pymysql://openstack:{home.password("database")}'
            f'@localhost/{database}?unix_socket={socket(home)}')


def service(home: Home) -> Service:
    configuration = home.etc / 'mariadb.cnf'
    return Service(
        name='mariadb', user=SERVICE_USER,
        command=('/usr/sbin/mariadbd', f'--defaults-file={configuration}'),
        address=str(socket(home)), configuration=(configuration,),
        ready=ready.unix(socket(home)), stop_seconds=60)


def prepare(home: Home) -> None:
    """Write its configuration, and make its system tables once."""
    users.own(socket(home).parent, SERVICE_USER, 0o755)
    shell.write(home.etc / 'mariadb.cnf', CONFIGURATION.format(
        data=directory(home), socket=socket(home),
        run=socket(home).parent))
    if directory(home).exists():
        return
    draft = directory(home).with_suffix('.new')
    shutil.rmtree(draft, ignore_errors=True)
    users.own(draft, SERVICE_USER)
    shell.run('mariadb-install-db', '--no-defaults', f'--datadir={draft}',
              f'--user={SERVICE_USER}', '--skip-test-db',
              '--auth-root-authentication-method=socket',
              f'--auth-root-socket-user={SERVICE_USER}')
    draft.rename(directory(home))


def query(home: Home, statements: str) -> str:
    """Run SQL as the database's administrator, and give the rows."""
    done = subprocess.run(
        ['mariadb', '--no-defaults', f'--socket={socket(home)}',
         f'--user={SERVICE_USER}', '--skip-column-names'],
        input=statements, text=True, capture_output=True,
        user=SERVICE_USER, group=users.group_id(), extra_groups=[],
        env={'PATH': os.environ['PATH'], 'HOME': '/nonexistent'})
    if done.returncode:
        raise shell.Failure(f'MariaDB: {done.stderr.strip()}')
    return done.stdout


def allow(home: Home) -> None:
    """Let the services in. May be called again."""
    password = home.password('database')
    query(home, f"""
        CREATE USER IF NOT EXISTS openstack@localhost;
        ALTER USER openstack@localhost IDENTIFIED BY '{password}';
        GRANT ALL ON *.* TO openstack@localhost;
    """)


def recreate(home: Home, database: str) -> None:
    query(home, f'DROP DATABASE IF EXISTS {database};'
                f'CREATE DATABASE {database};')


def instances(home: Home, supervisor: Supervisor) -> set[str]:
    """The servers that this cloud has."""
    if not directory(home).exists():
        return set()
    supervisor.ensure(service(home))
    return set(query(home, 'SELECT uuid FROM nova.instances '
                           'WHERE deleted = 0').split())
