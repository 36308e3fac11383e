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

"""The host's processors: what they can, how fast they are, what they did."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Final

from nova.objects import fields
import os_traits

from nova_docker import topology

_STAT = pathlib.Path('/proc/stat')
_CPUINFO = pathlib.Path('/proc/cpuinfo')
_CPUFREQ = pathlib.Path('/sys/devices/system/cpu/cpu0/cpufreq')
_NANOSECONDS: Final = 10 ** 9

_X86: Final = 'HW_CPU_X86_'
#: The kernel's names where a trait has another.
_ALIASES: Final = {
    'aes': 'AESNI', 'bmi1': 'BMI', 'fma': 'FMA3', 'gfni': 'AVX512GFNI',
    'pclmulqdq': 'CLMUL', 'pni': 'SSE3', 'rtm': 'TSX', 'sha_ni': 'SHA',
    'vaes': 'AVX512VAES', 'vpclmulqdq': 'AVX512VPCLMULQDQ',
}
#: What a processor can, and a container can't without a device for it.
_NOT_FOR_CONTAINERS: Final = frozenset({'SGX', 'SVM', 'VMX'})


def statistics() -> dict[str, int]:
    """Return what the host's CPUs have done since it started.

    :returns: nanoseconds of ``kernel``, ``user``, ``idle`` and ``iowait``,
        summed over the CPUs as in libvirt, and ``frequency`` in MHz
    """
    with _STAT.open(encoding='ascii') as lines:
        user, nice, system, idle, iowait, irq, softirq = (
            int(ticks) * _NANOSECONDS // os.sysconf('SC_CLK_TCK')
            for ticks in lines.readline().split()[1:8])
    return {'kernel': system + irq + softirq, 'user': user + nice,
            'idle': idle, 'iowait': iowait, 'frequency': _frequency()}


def _frequency() -> int:
    """Return MHz; 0 where the kernel does not tell."""
    told = re.findall(r'^cpu MHz\s*: ([0-9]+)', _CPUINFO.read_text(),
                      re.MULTILINE)
    if told:
        return max(map(int, told))
    most = _CPUFREQ / 'cpuinfo_max_freq'
    return int(most.read_text()) // 1000 if most.exists() else 0


def traits(architecture: str) -> dict[str, bool]:
    """Return the traits of the processors, and whether they have each.

    :param architecture: one of Nova's fields.Architecture
    """
    flags = _flags() if architecture == fields.Architecture.X86_64 else set()
    found = {name: name.removeprefix(_X86) in flags
             for name in os_traits.get_traits(_X86)}
    found[os_traits.HW_CPU_HYPERTHREADING] = topology.has_hyperthreading()
    for prefix in ('HW_ARCH_', 'COMPUTE_ARCH_'):
        for name in os_traits.get_traits(prefix):
            found[name] = name == prefix + architecture.upper()
    return found


def _flags() -> set[str]:
    """Return the flags of an x86 processor as traits spell them."""
    line = re.search(r'^flags\s*:(.*)$', _CPUINFO.read_text(), re.MULTILINE)
    names = line[1].split() if line else []
    spelt = {_ALIASES.get(name, name.replace('_', '').upper())
             for name in names}
    return spelt - _NOT_FOR_CONTAINERS
