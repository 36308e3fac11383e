#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""What must hold before nova-compute takes work, and says what does not."""

from __future__ import annotations

from collections.abc import Callable

from nova import exception
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import lxcfs
from nova_docker import topology

#: Docker Engine 20.10.
MINIMUM_API = (1, 41)


def check(engine: client.Engine) -> None:
    """See that engine and options fit together.

    :raises HypervisorUnavailable: through the wall, without an engine
    :raises InvalidConfiguration: naming what to mend
    """
    check_version(engine.version())
    check_cpus(engine.info)
    check_lxcfs()


def check_version(version: client.Document) -> None:
    """See that the engine is new enough.

    :raises InvalidConfiguration: naming what to mend
    """
    api = tuple(int(part) for part in version['ApiVersion'].split('.'))
    if api < MINIMUM_API:
        raise exception.InvalidConfiguration(
            f"Docker Engine {version['Version']} is too old: version 20.10 "
            'or later is needed.')


def check_cpus(info: Callable[[], client.Document]) -> None:
    """See that servers can have the CPUs that the options give them.

    :param info: returns the engine's facts
    :raises InvalidConfiguration: naming what to mend
    """
    topology.check()
    if topology.is_divided() and not info()['CPUSet']:
        raise exception.InvalidConfiguration(
            '[compute] cpu_shared_set and cpu_dedicated_set need an engine '
            'that can confine containers to CPUs: this host has no cpuset '
            'control group.')


def check_lxcfs() -> None:
    """See that LXCFS serves if it must.

    :raises InvalidConfiguration: naming what to mend
    """
    if CONF.docker.lxcfs == 'required' and not lxcfs.serving():
        raise exception.InvalidConfiguration(
            '[docker] lxcfs is required, but LXCFS is not mounted at '
            f'{CONF.docker.lxcfs_path}: start it or set lxcfs_path.')
