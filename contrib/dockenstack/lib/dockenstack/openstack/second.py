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

"""A second compute host with this driver: its agent and nova-compute."""

import pathlib

from dockenstack.host import openvswitch
from dockenstack.host import second
from dockenstack.host import users
from dockenstack.openstack import common
from dockenstack.openstack import neutron
from dockenstack.openstack import nova
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import COMPUTE_USER
from dockenstack.settings import ETC_LINK
from dockenstack.settings import Home
from dockenstack.stamp import Stamp


def wanted(home: Home) -> Stamp:
    """Says that the cloud shall have this host."""
    return common.wanted(home, second.NAME)


def present(home: Home) -> Stamp:
    """Says that there is something of it."""
    return Stamp(home, second.NAME)


def services(home: Home) -> list[Service]:
    return [*second.services(home), agent(home), compute(home)]


def agent(home: Home) -> Service:
    base, specific = neutron.agent_files(home, 'neutron-ovs')
    return second.inside(home, common.daemon(
        home, 'neutron-ovs', 'neutron-openvswitch-agent', user='root',
        configuration=(base, specific, _agent_conf(home)),
        queues=[f'q-agent-notifier-tunnel-update.{second.HOST}'],
        env=openvswitch.environment(second.Place.of(home))))


def compute(home: Home) -> Service:
    return second.inside(home, nova.compute(
        home, second.HOST, ETC_LINK / 'nova' / 'compute-2.conf'))


def _agent_conf(home: Home) -> pathlib.Path:
    return neutron.directory(home) / 'neutron-ovs-2.ini'


def have(home: Home, supervisor: Supervisor) -> str:
    """Have the host, or not, as it is wanted."""
    act = _start if wanted(home).exists() else _remove
    return act(home, supervisor)


def _start(home: Home, supervisor: Supervisor) -> str:
    present(home).set()
    if not second.is_current(home, supervisor):
        supervisor.stop_all([compute(home), agent(home)])
        second.start(home, supervisor)
    _configure(home)
    nova.archive(home)
    supervisor.ensure_all([agent(home), compute(home)])
    nova.discover(home, second.HOST)
    return f'{second.HOST}, with an engine and a switch of its own'


def stop(home: Home, supervisor: Supervisor) -> None:
    """End all of it; its servers stay, stopped. May be called again."""
    supervisor.stop_all([compute(home), agent(home)])
    second.stop(home, supervisor)


def _remove(home: Home, supervisor: Supervisor) -> str:
    """Undo `_start`, with the servers of this host. May be called again."""
    stop(home, supervisor)
    nova.forget(home, second.HOST)
    second.remove(home, supervisor)
    present(home).clear()
    return f'{second.HOST} removed'


def _configure(home: Home) -> None:
    place = second.Place.of(home)
    connection = openvswitch.connection(place)
    state = place.data / 'neutron'
    state.mkdir(exist_ok=True)
    common.configure(home, _agent_conf(home), {
        'DEFAULT': {'host': second.HOST, 'state_path': state},
        'oslo_concurrency': {'lock_path': state / 'locks'},
        'ovs': {'ovsdb_connection': connection, 'local_ip': second.ADDRESS}})
    state = users.own(place.data / 'nova-compute', COMPUTE_USER)
    sections = nova.compute_sections(home, state, 'compute-2.conf')
    sections['DEFAULT'].update({
        'host': second.HOST, 'my_ip': second.ADDRESS})
    sections['serial_console']['proxyclient_address'] = second.ADDRESS
    sections['os_vif_ovs']['ovsdb_connection'] = connection
    sections['docker']['url'] = f'unix://{place.docker}'
    common.configure(home, home.etc / 'nova' / 'compute-2.conf', sections)
