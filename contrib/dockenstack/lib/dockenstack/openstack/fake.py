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

"""A second compute host with Nova's fake driver: the floor of benchmarks.

It is in an availability zone of its own, so that nothing is scheduled to it
unless it is asked for.
"""

import pathlib
import shutil

from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.openstack import neutron
from dockenstack.openstack import nova
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack.stamp import Stamp

HOST = 'fake'
AGENT = common.SCRIPTS / 'fake_agent.py'


def conf(home: Home) -> pathlib.Path:
    return home.etc / 'nova' / 'fake.conf'


def agent_conf(home: Home) -> pathlib.Path:
    return neutron.directory(home) / 'fake.ini'


def wanted(home: Home) -> Stamp:
    """Says that the cloud has this host."""
    return Stamp(home, 'fake-host')


def compute(home: Home) -> Service:
    return common.daemon(
        home, 'nova-compute-fake', 'nova-compute', queues=[f'compute.{HOST}'],
        configuration=[conf(home)])


def agent(home: Home) -> Service:
    files = [*neutron.server_files(home)[:1], agent_conf(home)]
    return common.also(
        common.daemon(home, 'neutron-ovs-fake', 'python', str(AGENT),
                      configuration=files, user='root'), AGENT)


def services(home: Home) -> list[Service]:
    return [agent(home), compute(home)]


def start(home: Home, supervisor: Supervisor) -> str:
    _configure(home)
    if not all(map(supervisor.is_current, services(home))):
        # The fake driver forgets its servers, and who it was.
        supervisor.stop_all(services(home))
        nova.forget(home, HOST)
        nova.archive(home)
    wanted(home).set()
    supervisor.ensure_all(services(home))
    nova.discover(home, HOST)
    common.in_cloud(home, 'fake_host', {'host': HOST, 'zone': HOST})
    return f'host, availability zone and image `{HOST}`'


def remove(home: Home, supervisor: Supervisor) -> None:
    """Undo `start`. May be called again."""
    if wanted(home).exists():
        supervisor.stop_all(services(home))
        nova.forget(home, HOST)
        wanted(home).clear()


def _configure(home: Home) -> None:
    state = home.data / 'nova-compute-fake'
    if not all(path.exists() for path in (state, conf(home))):
        shutil.rmtree(state, ignore_errors=True)
    users.own(state, SERVICE_USER)
    shared = nova.shared(home)
    shared['DEFAULT'].update({
        'compute_driver': 'fake.FakeDriver', 'host': HOST,
        'state_path': state})
    shared['oslo_concurrency'] = {'lock_path': state / 'locks'}
    common.configure(home, conf(home), shared)
    common.configure(home, agent_conf(home), {'DEFAULT': {'host': HOST}})
