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

"""PURE: from an instance to the engine's create arguments.

Data in, the body of ``POST /containers/create`` out: no client, no options,
no file is read here. Names of fields are the Engine API's
(https://docs.docker.com/reference/api/engine/).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os.path
import re
from typing import Any

from oslo_utils import units

from nova import objects
from nova_docker import cpuset
from nova_docker import errors
from nova_docker import names
from nova_docker import settings

Document = dict[str, Any]

#: What LXCFS provides, below its directory and below / alike.
LXCFS_FILES = ('proc/cpuinfo', 'proc/diskstats', 'proc/loadavg',
               'proc/meminfo', 'proc/stat', 'proc/swaps', 'proc/uptime')
#: Nova's period, in microseconds, where a flavor sets only a quota.
_CPU_PERIOD = 100000
#: What the kernel takes, where that is not everything above zero.
_RANGES = {'quota:cpu_shares': (2, 262144),
           'quota:cpu_period': (1000, 1000000),
           'quota:cpu_quota': (1000, 2 ** 44 - 1)}
_MOST = 2 ** 63 - 1
#: Limits of a container that can change while it runs.
_CHANGEABLE = frozenset({'Memory', 'MemorySwap', 'CpuPeriod', 'CpuQuota',
                         'CpuShares', 'CpusetCpus', 'CpusetMems'})
#: The kernel's default.
_CPU_SHARES = 1024
#: Bytes, as the kernel and the engine have it.
_HOSTNAME_LENGTH = 63
_SHELLS = frozenset({'ash', 'bash', 'dash', 'fish', 'ksh', 'mksh', 'sh',
                     'zsh'})


@dataclasses.dataclass(frozen=True)
class Host:
    """What the create arguments depend on besides the instance.

    :param init: the engine has docker-init
    :param runtimes: the names of the engine's OCI runtimes
    :param disk_quota: the storage driver enforces a container's size
    :param block_device: path of the device that holds the engine's data, for
        I/O limits; None if there is none
    :param lxcfs: the directory with LXCFS's files; None not to use it
    :param pids_limit: default of processes in a container; 0 is no limit
    :param log_size: MiB of console log kept
    :param cpus: for instances with and without CPUs of their own
    """

    init: bool
    runtimes: frozenset[str]
    disk_quota: bool
    block_device: str | None
    lxcfs: str | None
    pids_limit: int
    log_size: int
    cpus: cpuset.Host = cpuset.Host()


def sandbox(instance: objects.Instance, image: str,
            nameservers: Sequence[str], addresses: Sequence[str]) -> Document:
    """Return the create arguments of an instance's sandbox.

    :param image: the sandbox's engine image
    :param nameservers: addresses for resolv.conf. With none, the loopback
        address stands there, since the engine would write the host's.
    :param addresses: the server's own, which its name resolves to
    """
    whole = instance.hostname or instance.name
    # Nova takes a whole domain name, the kernel does not.
    hostname = (whole if len(whole) <= _HOSTNAME_LENGTH
                else whole.partition('.')[0])
    return {
        'Image': image,
        # Whatever user the operator's own image has: only of root's
        # processes can the privileged daemon enter the namespace.
        'User': '0:0',
        'Hostname': hostname,
        'Labels': names.labels(instance, names.Role.SANDBOX),
        'HostConfig': {
            'NetworkMode': 'none',
            'Dns': list(nameservers) or ['127.0.0.1'],
            'DnsSearch': ['.'],
            'ExtraHosts': [
                f'{name}:{address}' for address in addresses
                for name in dict.fromkeys((whole, hostname))],
            'ReadonlyRootfs': True,
            'CapDrop': ['ALL'],
            'SecurityOpt': ['no-new-privileges'],
            # For the sleeper itself 1 would do, but not for the runtime that
            # starts it in the same cgroup with threads of its own.
            'PidsLimit': 64,
            'LogConfig': {'Type': 'none'},
        },
    }


def workload(instance: objects.Instance, image: str, host: Host, *,
             flavor: objects.Flavor | None = None,
             asked: settings.Workload | None = None,
             binds: Sequence[str] = (),
             mounts: Sequence[Document] = ()) -> Document:
    """Return the create arguments of an instance's workload.

    :param image: the engine image to run
    :param flavor: another than the instance's own
    :param asked: what image and tenant ask for, if not what the instance
        says: a rescue image has its own properties
    :param binds: further mounts, as ``source:target:options``
    :param mounts: further ones, as documents of the engine's
    :raises BadSetting: naming the key that can't be used
    """
    flavor = flavor or instance.flavor
    asked = asked or settings.workload(instance.metadata,
                                       instance.system_metadata)
    granted = settings.privileges(flavor.extra_specs)
    body = {
        'Image': image,
        'Cmd': asked.command,
        'Entrypoint': asked.entrypoint,
        'Env': [f'{name}={value}' for name, value in asked.env.items()],
        'WorkingDir': asked.workdir,
        'User': asked.user,
        'StopSignal': asked.stop_signal,
        'Tty': asked.tty,
        'OpenStdin': asked.tty,
        'Labels': names.labels(instance, names.Role.WORKLOAD),
        'HostConfig': {
            'NetworkMode': f'container:{names.sandbox(instance.uuid)}',
            'Init': asked.init and host.init,
            'LogConfig': {'Type': 'json-file', 'Config': {
                # A single file would lose everything when it is full.
                'max-size': f'{host.log_size * units.Ki // 2}k',
                'max-file': '2'}},
            'Binds': [*_binds(host), *binds],
            'Mounts': list(mounts),
            **limits(flavor),
            **cpuset.config(instance, flavor, host.cpus),
            **_disk(flavor, host),
            **_disk_io(flavor, host),
            **_privileges(granted, host),
        },
    }
    return {key: value for key, value in body.items() if value is not None}


def attempt(body: Document, image: str, network: str) -> Document:
    """Return the create arguments of a container that a flavor is tried with.

    :param body: of the workload to be, as :func:`workload` returns it
    :param image: the sandbox's engine image: nothing of the tenant's runs
    :param network: the mode of its network
    """
    others = {'Binds', 'Mounts', 'LogConfig', 'NetworkMode'}
    return {
        'Image': image,
        'Labels': {names.ROLE: names.Role.ATTEMPT},
        'HostConfig': {
            **{key: value for key, value in body['HostConfig'].items()
               if key not in others},
            'NetworkMode': network,
            'LogConfig': {'Type': 'none'},
        },
    }


def trial(image: str, host: Host) -> Document:
    """Return the create arguments of a container to try checkpoints on.

    It has of a workload what may stand in their way.

    :param image: the sandbox's engine image
    """
    return {
        'Image': image,
        'Tty': True,
        'OpenStdin': True,
        'HostConfig': {
            'NetworkMode': 'none',
            'Init': host.init,
            'Binds': _binds(host),
            'LogConfig': {'Type': 'none'},
        },
    }


def limits(flavor: objects.Flavor) -> Document:
    """Return the memory and CPU limits, which can change at run time.

    :raises BadSetting: naming the ``quota:cpu_`` key
    """
    memory = flavor.memory_mb * units.Mi
    return {'Memory': memory,
            'MemorySwap': memory + (flavor.swap or 0) * units.Mi,
            **_cpu(flavor)}


def changed_limits(instance: objects.Instance, flavor: objects.Flavor,
                   host: Host) -> Document:
    """Return the limits to give a container that has others.

    What is not given is left as it is, so there is a value for each.

    :raises BadSetting: naming the key that can't be used
    """
    return {'CpuShares': _CPU_SHARES, **limits(flavor),
            **cpuset.change(instance, flavor, host.cpus)}


def needs_new_container(old: Document, new: Document) -> bool:
    """Tell whether more differs than what can change at run time.

    :param old: create arguments
    :param new: others, of the same instance
    """
    return _fixed(old) != _fixed(new)


def _fixed(body: Document) -> Document:
    """Return what an existing container can't change.

    Labels say what the flavor was called, and limit nothing.
    """
    kept = {key: value for key, value in body.items() if key != 'Labels'}
    kept['HostConfig'] = {key: value
                          for key, value in body['HostConfig'].items()
                          if key not in _CHANGEABLE}
    return kept


def _number(flavor: objects.Flavor, key: str) -> int:
    """Return a flavor's number; to Nova, 0 is the same as none at all."""
    text = flavor.extra_specs.get(key, '0')
    least, most = _RANGES.get(key, (0, _MOST))
    if not re.fullmatch('-?[0-9]+', text):
        raise errors.BadSetting(source='Flavor key', key=key,
                                reason=f'{text!r} is not a number.')
    number = int(text)
    if number and not least <= number <= most:
        raise errors.BadSetting(
            source='Flavor key', key=key,
            reason=f'{number} is not between {least} and {most}.')
    return number


def _cpu(flavor: objects.Flavor) -> Document:
    shares = _number(flavor, 'quota:cpu_shares')
    period = _number(flavor, 'quota:cpu_period') or _CPU_PERIOD
    if re.fullmatch('-[0-9]+', flavor.extra_specs.get('quota:cpu_quota', '')):
        quota = -1  # Below zero is no limit, for Nova and the engine alike.
    else:
        quota = _number(flavor, 'quota:cpu_quota') or flavor.vcpus * period
    found = {'CpuPeriod': period, 'CpuQuota': quota}
    return found | {'CpuShares': shares} if shares else found


def _disk(flavor: objects.Flavor, host: Host) -> Document:
    if not host.disk_quota or not flavor.root_gb:
        return {}
    return {'StorageOpt': {'size': f'{flavor.root_gb}G'}}


_DISK_IO: Mapping[str, tuple[str, ...]] = {
    'quota:disk_read_bytes_sec': ('BlkioDeviceReadBps',),
    'quota:disk_write_bytes_sec': ('BlkioDeviceWriteBps',),
    'quota:disk_total_bytes_sec': ('BlkioDeviceReadBps',
                                   'BlkioDeviceWriteBps'),
    'quota:disk_read_iops_sec': ('BlkioDeviceReadIOps',),
    'quota:disk_write_iops_sec': ('BlkioDeviceWriteIOps',),
    'quota:disk_total_iops_sec': ('BlkioDeviceReadIOps',
                                  'BlkioDeviceWriteIOps'),
}


def _disk_io(flavor: objects.Flavor, host: Host) -> Document:
    found: Document = {}
    for key, fields in _DISK_IO.items():
        rate = _number(flavor, key)
        if not rate:
            continue
        if host.block_device is None:
            raise errors.BadSetting(
                source='Flavor key', key=key,
                reason="the engine's data on this host is on no block "
                       'device whose rate could be limited.')
        for field in fields:
            found[field] = [{'Path': host.block_device, 'Rate': rate}]
    return found


def _privileges(granted: settings.Privileges, host: Host) -> Document:
    if granted.runtime and granted.runtime not in host.runtimes:
        raise errors.BadSetting(
            source='Flavor key', key='docker:runtime',
            reason=f"the engine has no runtime '{granted.runtime}'; it has "
                   f"{', '.join(sorted(host.runtimes))}.")
    pids = (host.pids_limit if granted.pids_limit is None
            else granted.pids_limit)
    found: Document = {
        'PidsLimit': pids or None,
        'Runtime': granted.runtime,
        'Privileged': granted.privileged,
        'CapAdd': granted.cap_add,
        'CapDrop': granted.cap_drop,
        'SecurityOpt': granted.security_opt,
        'ShmSize': granted.shm_size and granted.shm_size * units.Mi,
        'ReadonlyRootfs': granted.read_only,
        'Sysctls': dict(granted.sysctls),
        'Ulimits': [{'Name': name, 'Soft': limit.soft, 'Hard': limit.hard}
                    for name, limit in granted.ulimits.items()],
        'Devices': [{'PathOnHost': device.host_path,
                     'PathInContainer': device.path,
                     'CgroupPermissions': device.permissions}
                    for device in granted.devices.values()],
    }
    return {key: value for key, value in found.items() if value}


def _binds(host: Host) -> list[str]:
    if host.lxcfs is None:
        return []
    return [f'{host.lxcfs}/{name}:/{name}:rw' for name in LXCFS_FILES]


def is_interactive_shell(command: Sequence[str]) -> bool:
    """Tell whether a command is a shell that reads from its terminal.

    Such a shell ignores SIGTERM. One that runs a script does not.

    :param command: the program and its arguments
    """
    program = os.path.basename(command[0]).lstrip('-')
    arguments = list(command[1:])
    if program == 'busybox' and arguments:
        program = arguments.pop(0)
    return program in _SHELLS and all(
        argument.startswith('-') and 'c' not in argument.lstrip('-')
        or argument.startswith('--') for argument in arguments)
