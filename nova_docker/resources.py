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

"""What this host has and uses, for Nova's resource tracker and Placement."""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import time
from typing import Any

from nova.compute import provider_tree as tree
from nova.objects import fields
import os_resource_classes as orc
from oslo_serialization import jsonutils
from oslo_utils import units
from oslo_utils import versionutils

from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker.engine import facts
from nova_docker import errors
from nova_docker import lxcfs
from nova_docker import processor
from nova_docker import spec
from nova_docker import topology

#: The engine's storage drivers that enforce a container's size wherever
#: they are, and overlay2, which does on XFS with project quotas.
_QUOTA_DRIVERS = frozenset({'btrfs', 'zfs', 'windowsfilter'})
_BLOCK_DEVICES = pathlib.Path('/sys/class/block')
#: Traits of ours in Placement.
TRAIT_DOCKER = 'CUSTOM_DOCKER'
TRAIT_DISK_QUOTA = 'CUSTOM_DOCKER_DISK_QUOTA'
TRAIT_LXCFS = 'CUSTOM_DOCKER_LXCFS'


def has_disk_quota(info: client.Document) -> bool:
    """Whether the storage driver enforces a container's size.

    The containerd image store has snapshotters of the same names, none of
    which does. https://github.com/moby/moby/pull/51222

    :param info: the engine's facts
    """
    if facts.has_containerd_store(info):
        return False
    if info['Driver'] in _QUOTA_DRIVERS:
        return True
    return (info['Driver'] == 'overlay2' and
            facts.driver_status(info).get('Backing Filesystem') == 'xfs' and
            _mount_of(data_path(info))[2].find('prjquota') >= 0)


def data_path(info: client.Document) -> str:
    """Return the directory below which the root disks are, and no link.

    :param info: the engine's facts
    """
    if CONF.docker.data_path:
        return os.path.realpath(CONF.docker.data_path)
    found = os.path.realpath(facts.root_disks(info))
    return found if os.path.exists(found) else str(info['DockerRootDir'])


def has_init(info: client.Document) -> bool:
    """Whether the engine has an init for containers, and finds it.

    It names one in any case, and asks it for its version.

    :param info: the engine's facts
    """
    commit = info.get('InitCommit') or {}
    return bool(info.get('InitBinary')) and commit.get('ID') != 'N/A'


def _mount_of(path: str) -> tuple[str, str, str]:
    """Return (source, mount point, options) of what a path lies on."""
    best = ('', '', '')
    with open('/proc/self/mounts', encoding='utf-8') as mounts:
        for line in mounts:
            source, point, _kind, options = line.split(' ')[:4]
            below = path == point or path.startswith(point.rstrip('/') + '/')
            if below and len(point) >= len(best[1]):
                best = (source, point, options)
    return best


def _disk_of(path: str) -> str | None:
    """Return the disk that a path lies on; None if it lies on no disk.

    The kernel limits the rates of whole disks, not of their partitions.
    """
    source = os.path.realpath(_mount_of(path)[0])
    device = _BLOCK_DEVICES / os.path.basename(source)
    if not source.startswith('/dev/') or not device.exists():
        return None
    if not (device / 'partition').exists():
        return source
    return f'/dev/{device.resolve().parent.name}'


def _memory_used() -> int:
    """Return the host's used memory in MiB."""
    found = {}
    with open('/proc/meminfo', encoding='ascii') as lines:
        for line in lines:
            name, _colon, value = line.partition(':')
            found[name] = int(value.split()[0])
    return (found['MemTotal'] - found['MemAvailable']) // units.Ki


def uptime() -> str:
    """Return the host's uptime in the form of uptime(1)."""
    with open('/proc/uptime', encoding='ascii') as figures:
        seconds = int(float(figures.read().split()[0]))
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    load = ', '.join(f'{figure:.2f}' for figure in os.getloadavg())
    plural = '' if days == 1 else 's'
    since = f'{days} day{plural}, ' if days else ''
    return (f'{time.strftime(" %H:%M:%S")} up {since}{hours}:{minutes:02}, '
            f'load average: {load}')


class Resources:
    """Reports the host's capacity.

    :param engine: asked for its facts
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine
        self._host: spec.Host | None = None

    def host(self) -> spec.Host:
        """Return the facts that create arguments depend on.

        They are read again whenever the inventory is.
        """
        if self._host is None:
            self._host = self._inspect(self._engine.info())
        return self._host

    def _inspect(self, info: client.Document) -> spec.Host:
        # The engine would make directories of what it does not find.
        lxcfs.aim()
        return spec.Host(
            init=has_init(info),
            runtimes=frozenset(info.get('Runtimes') or ()),
            disk_quota=has_disk_quota(info),
            block_device=_disk_of(data_path(info)),
            lxcfs=lxcfs.directory(),
            pids_limit=CONF.docker.pids_limit,
            log_size=CONF.docker.console_log_max_size,
            cpus=topology.cpus())

    def available(self, nodename: str) -> dict[str, Any]:
        """Return the resource tracker's view of this node."""
        info = self._engine.info()
        self._host = self._inspect(info)
        disk = os.statvfs(_accessible(data_path(info)))
        arch = fields.Architecture.canonicalize(info['Architecture'])
        return {
            'vcpus': _vcpus(info),
            'memory_mb': info['MemTotal'] // units.Mi,
            'local_gb': disk.f_blocks * disk.f_frsize // units.Gi,
            'vcpus_used': 0,
            'memory_mb_used': _memory_used(),
            'local_gb_used': ((disk.f_blocks - disk.f_bfree) *
                              disk.f_frsize // units.Gi),
            'disk_available_least': disk.f_bavail * disk.f_frsize // units.Gi,
            'hypervisor_type': fields.HVType.DOCKER,
            'hypervisor_version': _version(info['ServerVersion']),
            'hypervisor_hostname': nodename,
            'cpu_info': jsonutils.dumps({
                'arch': arch, 'topology': {'cores': info['NCPU']}}),
            'supported_instances': [
                (arch, fields.HVType.DOCKER, fields.VMMode.EXE)],
            'numa_topology': topology.numa()._to_json(),
        }

    def update_provider_tree(
            self, provider_tree: tree.ProviderTree, nodename: str,
            ratios: Callable[[dict[str, Any]], dict[str, float]],
            reserved_disk: int) -> None:
        """Write this node's inventory and traits.

        While the engine is away they stay as they are. Nova asks for them
        when it gives up a boot, too, and an error would hide why it did.

        :param ratios: ComputeDriver._get_allocation_ratios
        :param reserved_disk: GB kept for the host
        :raises EngineUnavailable: if nothing was ever written
        """
        try:
            found, host = self.available(nodename), self.host()
        except errors.EngineUnavailable:
            if provider_tree.has_inventory(nodename):
                return
            raise
        ratio = ratios(provider_tree.data(nodename).inventory)
        inventory = {
            orc.VCPU: _inventory(found['vcpus'], CONF.reserved_host_cpus,
                                 ratio[orc.VCPU]),
            orc.PCPU: _inventory(len(topology.dedicated()), 0, 1.0),
            orc.MEMORY_MB: _inventory(
                found['memory_mb'], CONF.reserved_host_memory_mb,
                ratio[orc.MEMORY_MB]),
            orc.DISK_GB: _inventory(found['local_gb'], reserved_disk,
                                    ratio[orc.DISK_GB]),
        }
        # Placement takes none of nothing: a host has no dedicated CPUs, no
        # shared ones, or a disk below 1 GiB.
        provider_tree.update_inventory(nodename, {
            name: each for name, each in inventory.items() if each['total']})
        _update_traits(provider_tree, nodename, host, found)


def _vcpus(info: client.Document) -> int:
    """Return how many CPUs there are for instances without their own."""
    return (len(topology.shared()) if topology.is_divided()
            else int(info['NCPU']))


def _update_traits(provider_tree: tree.ProviderTree, nodename: str,
                   host: spec.Host, found: dict[str, Any]) -> None:
    architecture = found['supported_instances'][0][0]
    held = {TRAIT_DOCKER: True, TRAIT_DISK_QUOTA: host.disk_quota,
            TRAIT_LXCFS: lxcfs.serving() is not None,
            **processor.traits(architecture)}
    for change, wanted in ((provider_tree.add_traits, True),
                           (provider_tree.remove_traits, False)):
        change(nodename, *(trait for trait, present in held.items()
                           if present is wanted))


def _inventory(total: int, reserved: int, ratio: float) -> dict[str, Any]:
    return {'total': total, 'min_unit': 1, 'max_unit': total, 'step_size': 1,
            'allocation_ratio': ratio, 'reserved': reserved}


def _version(text: str) -> int:
    """Return the engine's version as Nova keeps them: 28.5.2 -> 28005002."""
    numbers = text.partition('+')[0].partition('-')[0].partition('~')[0]
    return int(versionutils.convert_version_to_int(numbers))


def _accessible(path: str) -> str:
    """Return the path, or the nearest directory above that we may see.

    The engine's data directory can be closed to nova-compute's user, and
    lies on the same file system as the directories above more often than
    not.
    """
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
