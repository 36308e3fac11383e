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

"""PURE: what the engine says of itself, judged."""

from collections.abc import Mapping
from typing import Any
from typing import Final

from nova_docker.cmd import outcome
from nova_docker.engine import facts
from nova_docker import resources

#: Fields of the engine's facts, and what is not limited without them.
_HARD: Final = {'MemoryLimit': 'memory', 'CpuCfsQuota': 'CPUs'}
_SOFT: Final = {'SwapLimit': 'swap', 'PidsLimit': 'processes',
                'CPUSet': 'CPU pinning'}
#: Storage drivers that share no data between containers of one image, or
#: that later engines do not have any more.
_POOR_DRIVERS: Final = frozenset({'aufs', 'devicemapper', 'overlay', 'vfs'})


def control_groups(info: Mapping[str, Any]) -> outcome.Result:
    """Judge whether a flavor's limits can be enforced."""
    version = f"control groups version {info.get('CgroupVersion', 1)}"
    missing = [what for field, what in _HARD.items() if not info.get(field)]
    if missing:
        return outcome.bad(
            f"The engine's {version} can't limit {' and '.join(missing)}: "
            'mount their controllers, or enable them on the kernel command '
            'line, and restart the engine.')
    missing = [what for field, what in _SOFT.items() if not info.get(field)]
    if missing:
        return outcome.doubtful(
            f"The engine's {version} can't do: {', '.join(missing)}. "
            'The kernel command line (swapaccount=1 for swap) or the mounted '
            'controllers may be why.')
    return outcome.good(f'{version[0].upper()}{version[1:]}, with every '
                        'limit that a flavor may ask for.')


def storage(info: dict[str, Any]) -> outcome.Result:
    """Judge the storage driver, and whether it enforces disk sizes."""
    driver = info['Driver']
    if facts.has_containerd_store(info):
        return outcome.doubtful(
            'The engine has the containerd image store, which does not '
            "enforce the size of a root disk, so a server can fill the host's "
            'disk. To have it enforced, begin anew with a storage driver of '
            'the engine itself: "features": {"containerd-snapshotter": false} '
            'in its daemon.json, on XFS mounted with prjquota or with btrfs '
            'or zfs. '
            f"Disk space is counted at {resources.data_path(info)}.")
    if driver in _POOR_DRIVERS:
        return outcome.doubtful(
            f'The storage driver {driver} is slow or is going away: let the '
            'engine use overlay2.')
    if not resources.has_disk_quota(info):
        return outcome.doubtful(
            f'The storage driver {driver} does not enforce the size of a '
            "root disk here, so a server can fill the host's disk: keep "
            f'{resources.data_path(info)} on XFS mounted with prjquota, or '
            'use the driver btrfs or zfs.')
    return outcome.good(
        f'The storage driver {driver} enforces the size of a root disk.')


def init(info: dict[str, Any]) -> outcome.Result:
    """Judge whether a container can have an init process."""
    if not resources.has_init(info):
        return outcome.doubtful(
            'The engine finds no docker-init, so servers do not reap '
            'processes, and many stop only when they are killed: install it, '
            "or set init-path in the engine's daemon.json, and restart the "
            'engine.')
    return outcome.good(f"Servers get {info['InitBinary']} as process 1.")
