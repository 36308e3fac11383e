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

"""Diagnostics of a server, from the engine's statistics."""

from __future__ import annotations

import pathlib

from nova.compute import power_state
from nova.objects import diagnostics
from oslo_utils import timeutils
from oslo_utils import units

from nova import objects
from nova.virt import configdrive
from nova_docker.engine import client
from nova_docker.instances import query
from nova_docker import names
from nova_docker.network import connection
from nova_docker.network import vif

#: Our counter, and the kernel's on the host end of the pair: what the host
#: receives there, the container has sent.
_COUNTERS = {
    'rx_octets': 'tx_bytes', 'rx_packets': 'tx_packets',
    'rx_errors': 'tx_errors', 'rx_drop': 'tx_dropped',
    'tx_octets': 'rx_bytes', 'tx_packets': 'rx_packets',
    'tx_errors': 'rx_errors', 'tx_drop': 'rx_dropped',
}
#: The flat format's name of a counter, and the structured one's.
_FLAT_COUNTERS = {
    'rx': 'rx_octets', 'rx_packets': 'rx_packets', 'rx_errors': 'rx_errors',
    'rx_drop': 'rx_drop', 'tx': 'tx_octets', 'tx_packets': 'tx_packets',
    'tx_errors': 'tx_errors', 'tx_drop': 'tx_drop',
}
_NETWORK = pathlib.Path('/sys/class/net')


class Diagnostics:
    """Collects figures of one server at a time.

    :param engine: which counts them
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine

    def __call__(self, instance: objects.Instance
                 ) -> diagnostics.Diagnostics:
        """Return what the server uses, in Nova's format."""
        name = names.workload(instance.uuid)
        state = query.state_of(self._engine.container(name))
        found = diagnostics.Diagnostics(
            state=power_state.STATE_MAP[state],
            # Nova's API lists the drivers that it admits here, and this one
            # is not among them; ``hypervisor`` says what it is.
            driver='libvirt', hypervisor='docker', hypervisor_os='linux',
            config_drive=bool(configdrive.required_by(instance)),
            uptime=_uptime(instance))
        stats = self._engine.stats(name)
        _add_memory(found, instance, stats)
        _add_cpus(found, stats)
        _add_disk(found, stats)
        _add_interfaces(found, instance)
        return found

    def flat(self, instance: objects.Instance) -> dict[str, int]:
        """Return the same as API versions before 2.48 have it.

        Names and units are libvirt's: nanoseconds, KiB of memory and bytes.
        """
        found = self(instance)
        figures = {f'cpu{cpu.id}_time': cpu.time
                   for cpu in found.cpu_details}
        figures['memory'] = found.memory_details.maximum * units.Ki
        figures['memory-rss'] = found.memory_details.used * units.Ki
        for disk in found.disk_details:
            figures |= {'root_read': disk.read_bytes,
                        'root_read_req': disk.read_requests,
                        'root_write': disk.write_bytes,
                        'root_write_req': disk.write_requests}
        for number, nic in enumerate(found.nic_details):
            figures |= {f'eth{number}_{ours}': getattr(nic, field)
                        for ours, field in _FLAT_COUNTERS.items()
                        if nic.obj_attr_is_set(field)}
        return figures


def _uptime(instance: objects.Instance) -> int | None:
    if instance.launched_at is None:
        return None
    launched = timeutils.normalize_time(instance.launched_at)
    return int(timeutils.delta_seconds(launched, timeutils.utcnow()))


def _add_memory(found: diagnostics.Diagnostics, instance: objects.Instance,
                stats: client.Document) -> None:
    memory = stats.get('memory_stats', {})
    details = memory.get('stats') or {}
    # Files that the kernel would drop at once are no use of memory. The two
    # versions of cgroups call them differently.
    droppable = details.get('total_inactive_file',
                            details.get('inactive_file', 0))
    found.memory_details = diagnostics.MemoryDiagnostics(
        maximum=instance.flavor.memory_mb,
        used=(memory.get('usage', 0) - droppable) // units.Mi)


def _add_cpus(found: diagnostics.Diagnostics,
              stats: client.Document) -> None:
    usage = stats.get('cpu_stats', {}).get('cpu_usage', {})
    for number, nanoseconds in enumerate(
            usage.get('percpu_usage') or [usage.get('total_usage', 0)]):
        found.add_cpu(id=number, time=nanoseconds)


def _add_disk(found: diagnostics.Diagnostics,
              stats: client.Document) -> None:
    def total(table: str, operation: str) -> int:
        rows = stats.get('blkio_stats', {}).get(table) or []
        return sum(row['value'] for row in rows
                   if row['op'].lower() == operation)
    found.add_disk(
        read_bytes=total('io_service_bytes_recursive', 'read'),
        write_bytes=total('io_service_bytes_recursive', 'write'),
        read_requests=total('io_serviced_recursive', 'read'),
        write_requests=total('io_serviced_recursive', 'write'))


def _add_interfaces(found: diagnostics.Diagnostics,
                    instance: objects.Instance) -> None:
    for port in connection.known_ports(instance):
        counters = _NETWORK / vif.host_name(port) / 'statistics'
        figures = {
            ours: int((counters / kernels).read_text())
            for ours, kernels in _COUNTERS.items()} if (
                counters.is_dir()) else {}
        found.add_nic(mac_address=port['address'], **figures)
