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

"""`status`: every service with its process, memory, address and state."""

import concurrent.futures

from dockenstack.commands import base
from dockenstack.host import engine
from dockenstack.host import lxcfs
from dockenstack import plan
from dockenstack import processes
from dockenstack.service import Service
from dockenstack.service import State
from dockenstack.service import Supervisor
from dockenstack.settings import Home

DESCRIPTION = """\
Show every service of the cloud. Memory is the proportional share (PSS) of the
service and of all processes that it started. Exit 1 if a service is down."""

ROW = '{:18} {:>8} {:>5} {:>9}  {:9}  {}'


def main(arguments: list[str]) -> int:
    base.parser('status', DESCRIPTION).parse_args(arguments)
    base.require_root()
    home = Home.from_environment()
    if not home.run.exists():
        print('There is no cloud')
        return 1
    supervisor = Supervisor(home)
    services = [service for service in plan.services(home)
                if not _is_the_machines(home, supervisor, service)]
    with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
        states = list(pool.map(supervisor.state, services))
    print(ROW.format('SERVICE', 'PID', 'PROCS', 'MEMORY', 'STATE',
                     'ADDRESS'))
    everything = 0
    for service, state in zip(services, states, strict=True):
        found = processes.marked(home, service.name)
        memory = sum(processes.memory(pid) for pid in found)
        everything += memory
        print(ROW.format(
            service.name, supervisor.pid(service) or '-', len(found),
            f'{memory / 2**20:.0f} MiB', state.value, service.address))
    print(f'\n{everything / 2**30:.2f} GiB in all')
    return 0 if set(states) == {State.RUNNING} else 1


def _is_the_machines(home: Home, supervisor: Supervisor,
                     service: Service) -> bool:
    """Whether the machine's own service stands in for one of ours."""
    if supervisor.pid(service):
        return False
    if service.name == 'docker':
        return not engine.is_ours(home) and engine.answers()
    return service.name == 'lxcfs' and lxcfs.machine_has_it()
