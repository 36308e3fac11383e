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

"""A private RabbitMQ and a private memcached, both on loopback."""

import shutil

from dockenstack.host import users
from dockenstack import ready
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.settings import LOOPBACK
from dockenstack.settings import PORTS
from dockenstack.settings import SERVICE_USER
from dockenstack import shell

PACKAGES = ('rabbitmq-server', 'memcached')

CONFIGURATION = """\
listeners.tcp.1 = {address}:{port}
default_user = dockenstack
default_pass = {password}
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 64MB
"""
# Idle schedulers need not spin, and two are enough.
ERLANG = ('+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none '
          '-kernel inet_dist_use_interface {127,0,0,1}')


def transport_url(home: Home) -> str:
    return (f'rabbit://dockenstack:{home.password("rabbitmq")}'
            f'@{LOOPBACK}:{PORTS["rabbitmq"]}/')


def rabbitmq(home: Home) -> Service:
    data = home.data / 'rabbitmq'
    configuration = home.etc / 'rabbitmq.conf'
    return Service(
        name='rabbitmq', user=SERVICE_USER,
        command=('/usr/lib/rabbitmq/bin/rabbitmq-server',),
        address=f'{LOOPBACK}:{PORTS["rabbitmq"]}',
        configuration=(configuration,),
        ports=(PORTS['rabbitmq'], PORTS['rabbitmq-distribution'],
               PORTS['epmd']),
        env={'HOME': str(data),
             'RABBITMQ_NODENAME': 'dockenstack@localhost',
             'RABBITMQ_CONFIG_FILE': str(configuration),
             'RABBITMQ_CONF_ENV_FILE': '/dev/null',
             'RABBITMQ_ADVANCED_CONFIG_FILE': '/nonexistent',
             'RABBITMQ_ENABLED_PLUGINS_FILE': str(data / 'plugins'),
             'RABBITMQ_MNESIA_BASE': str(data / 'mnesia'),
             'RABBITMQ_LOG_BASE': str(data / 'log'),
             'RABBITMQ_GENERATED_CONFIG_DIR': str(data / 'config'),
             'RABBITMQ_PID_FILE': str(data / 'pid'),
             'RABBITMQ_DIST_PORT': str(PORTS['rabbitmq-distribution']),
             'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': ERLANG,
             'ERL_EPMD_ADDRESS': LOOPBACK,
             'ERL_EPMD_PORT': str(PORTS['epmd'])},
        ready=ready.tcp(LOOPBACK, PORTS['rabbitmq']), stop_seconds=30)


def memcached() -> Service:
    port = PORTS['memcached']
    return Service(
        name='memcached', user=SERVICE_USER,
        command=('/usr/bin/memcached', '-l', LOOPBACK, '-p', str(port),
                 '-U', '0', '-m', '64'),
        address=f'{LOOPBACK}:{port}', ports=(port,),
        ready=ready.tcp(LOOPBACK, port))


def start(home: Home, supervisor: Supervisor) -> None:
    """Have both running.

    Nothing in the queues outlives the broker: a start with an empty store
    cannot meet one that a power cut left half written.
    """
    shell.write(home.etc / 'rabbitmq.conf', CONFIGURATION.format(
        address=LOOPBACK, port=PORTS['rabbitmq'],
        password=home.password('rabbitmq')), 0o640, users.group_id())
    broker = rabbitmq(home)
    if not supervisor.is_current(broker):
        supervisor.stop(broker)
        shutil.rmtree(home.data / 'rabbitmq', ignore_errors=True)
    data = users.own(home.data / 'rabbitmq', SERVICE_USER)
    (data / 'plugins').write_text('[].\n')
    supervisor.ensure(broker)
    supervisor.ensure(memcached())
