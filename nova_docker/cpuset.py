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

"""PURE: which of the host's CPUs and memory nodes an instance may use."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any

from oslo_utils import strutils

from nova import objects
from nova.virt import hardware
from nova_docker import errors

Document = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Host:
    """A host's CPUs.

    :param online: all that there are
    :param shared: those that instances without CPUs of their own are
        confined to; None not to confine them
    :param nodes: of each NUMA node, those for instances that have none of
        their own
    """

    online: frozenset[int] = frozenset()
    shared: frozenset[int] | None = None
    nodes: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict)


def config(instance: objects.Instance, flavor: objects.Flavor,
           host: Host) -> Document:
    """Return the part of ``HostConfig`` that confines an instance.

    Nova has chosen: NUMA nodes, and for a CPU of the instance's own the CPU
    of the host's. One that shares CPUs may use all shared ones of its nodes.
    With the policy "mixed" every process may use either kind: which runs
    where, the instance decides.

    :raises BadSetting: for what a container can't have
    """
    topology = instance.numa_topology
    _refuse(topology, flavor)
    if topology is None:
        return {} if host.shared is None else {
            'CpusetCpus': _listed(host.shared)}
    cpus: set[int] = set()
    for cell in topology.cells:
        cpus.update((cell.cpu_pinning or {}).values())
        if cell.cpuset:
            cpus |= host.nodes.get(cell.id, frozenset())
    return {'CpusetCpus': _listed(cpus),
            'CpusetMems': _listed(cell.id for cell in topology.cells)}


def change(instance: objects.Instance, flavor: objects.Flavor,
           host: Host) -> Document:
    """Return the same for a container that may be confined already.

    The engine takes what is not there for no change, so that to be set free
    is to be confined to everything.
    """
    return {'CpusetCpus': _listed(host.online),
            'CpusetMems': _listed(host.nodes),
            **config(instance, flavor, host)}


def _listed(numbers: Iterable[int]) -> str:
    return str(hardware.format_cpu_spec(set(numbers)))


def _refuse(topology: objects.InstanceNUMATopology | None,
            flavor: objects.Flavor) -> None:
    if topology is not None and topology.emulator_threads_isolated:
        raise errors.BadSetting(
            source='Flavor key', key='hw:emulator_threads_policy',
            reason="a container has no emulator whose threads could be "
                   "isolated; only 'share' makes sense.")
    if strutils.bool_from_string(flavor.extra_specs.get('hw:cpu_realtime')):
        raise errors.BadSetting(
            source='Flavor key', key='hw:cpu_realtime',
            reason='the processes of a container have no real-time '
                   'priority.')
