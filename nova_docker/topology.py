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

"""The host's CPUs and NUMA nodes: whose they are, and how they lie.

Read from the kernel's files and Nova's options, as in Nova's libvirt driver.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import os
import pathlib
import re

from nova import exception
from nova import objects
from nova.virt import hardware
from oslo_utils import units

from nova_docker.conf import CONF
from nova_docker import cpuset

_CPUS = pathlib.Path('/sys/devices/system/cpu')
_NODES = pathlib.Path('/sys/devices/system/node')


def online() -> frozenset[int]:
    """Return the numbers of the CPUs that the kernel uses."""
    return _parsed(_CPUS / 'online')


def shared() -> frozenset[int]:
    """Return the CPUs for instances that have none of their own.

    :raises InvalidConfiguration: if one of them is not there
    """
    chosen = _chosen('cpu_shared_set', hardware.get_cpu_shared_set)
    if chosen is not None:
        return chosen
    return frozenset() if CONF.compute.cpu_dedicated_set else online()


def dedicated() -> frozenset[int]:
    """Return the CPUs that can become an instance's own.

    :raises InvalidConfiguration: if one of them is not there
    """
    return _chosen('cpu_dedicated_set',
                   hardware.get_cpu_dedicated_set) or frozenset()


def check() -> None:
    """See that Nova's options fit each other and this host.

    :raises InvalidConfiguration: naming the option
    """
    if CONF.vcpu_pin_set:
        raise exception.InvalidConfiguration(
            'vcpu_pin_set is deprecated, and means nothing here: use '
            '[compute] cpu_shared_set and cpu_dedicated_set.')
    if dedicated() & shared():
        raise exception.InvalidConfiguration(
            '[compute] cpu_dedicated_set and cpu_shared_set have CPUs in '
            'common: each belongs to one of them at most.')
    if is_divided() and CONF.reserved_host_cpus:
        raise exception.InvalidConfiguration(
            'reserved_host_cpus means nothing beside [compute] '
            'cpu_shared_set and cpu_dedicated_set: the host keeps what is '
            'in neither. Unset it.')


def is_divided() -> bool:
    """Tell if the operator says which CPUs instances may use."""
    return bool(CONF.compute.cpu_shared_set or
                CONF.compute.cpu_dedicated_set)


def cpus() -> cpuset.Host:
    """Return what instances are confined to."""
    common = shared()
    return cpuset.Host(
        online=online(),
        shared=common if CONF.compute.cpu_shared_set else None,
        nodes={node: _of_node(node) & common for node in _nodes()})


def has_hyperthreading() -> bool:
    """Tell if some CPUs are threads of one core."""
    return any(len(threads) > 1 for threads in _siblings(online()))


def numa() -> objects.NUMATopology:
    """Return the NUMA nodes as Nova's scheduler sees them.

    Who uses them is counted by the resource tracker.
    """
    common, own = shared(), dedicated()
    return objects.NUMATopology(cells=[
        _cell(node, common, own) for node in _nodes()])


def _cell(node: int, common: frozenset[int],
          own: frozenset[int]) -> objects.NUMACell:
    here = _of_node(node)
    sockets = {int((_about(cpu) / 'physical_package_id').read_text())
               for cpu in here}
    memory = _memory(node)
    return objects.NUMACell(
        id=node,
        socket=sockets.pop() if len(sockets) == 1 else None,
        cpuset=set(here & common),
        pcpuset=set(here & own),
        memory=memory // units.Mi,
        cpu_usage=0,
        memory_usage=0,
        pinned_cpus=set(),
        siblings=_siblings(here & (common | own)),
        # A container has no memory of huge pages.
        mempages=[objects.NUMAPagesTopology(
            size_kb=_page_size() // units.Ki, total=memory // _page_size(),
            used=0, reserved=0)],
        network_metadata=objects.NetworkMetadata(
            physnets={name for name in CONF.neutron.physnets if node in
                      CONF[f'neutron_physnet_{name}'].numa_nodes},
            tunneled=node in CONF.neutron_tunnel.numa_nodes))


def _chosen(option: str, parse: Callable[[], set[int] | None]
            ) -> frozenset[int] | None:
    name = f'[compute] {option}'
    try:
        chosen = parse()
    except exception.Invalid as error:
        raise exception.InvalidConfiguration(f'{name}: {error}') from error
    if chosen is None:
        return None
    if not online().issuperset(chosen):
        raise exception.InvalidConfiguration(
            f'{name} has CPUs {_listed(chosen - online())}, which are not '
            f'online on this host; {_listed(online())} are.')
    return frozenset(chosen)


def _listed(numbers: Iterable[int]) -> str:
    return str(hardware.format_cpu_spec(set(numbers)))


def _parsed(path: pathlib.Path) -> frozenset[int]:
    return frozenset(hardware.parse_cpu_spec(path.read_text().strip()))


def _nodes() -> list[int]:
    """Return the nodes; a kernel that knows of none has one."""
    path = _NODES / 'online'
    return sorted(_parsed(path)) if path.exists() else [0]


def _of_node(node: int) -> frozenset[int]:
    path = _NODES / f'node{node}' / 'cpulist'
    return _parsed(path) & online() if path.exists() else online()


def _memory(node: int) -> int:
    """Return a node's memory in bytes."""
    path = _NODES / f'node{node}' / 'meminfo'
    if not path.exists():
        return os.sysconf('SC_PHYS_PAGES') * _page_size()
    found = re.search(r'MemTotal: *([0-9]+) kB', path.read_text())
    return int(found[1]) * units.Ki if found else 0


def _page_size() -> int:
    return os.sysconf('SC_PAGE_SIZE')


def _about(cpu: int) -> pathlib.Path:
    return _CPUS / f'cpu{cpu}' / 'topology'


def _siblings(among: frozenset[int]) -> list[set[int]]:
    """Return the CPUs core by core."""
    cores = {_parsed(_about(cpu) / 'thread_siblings_list') & among
             for cpu in among}
    return [set(core) for core in sorted(cores, key=sorted)]
