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

"""What privileged functions accept: checked where the privilege is."""

import re

# A letter triple by kind, then the first 11 characters of a port's UUID.
_HOST_END = re.compile(r'tap[0-9a-f-]{11}')
_INSIDE_END = re.compile(r'ndk[0-9a-f-]{11}')
_HYBRID_BRIDGE = re.compile(r'qbr[0-9a-f-]{11}')

# What LXCFS has a view of, in /proc.
_PROC_FILES = frozenset({'cpuinfo', 'diskstats', 'loadavg', 'meminfo',
                         'slabinfo', 'stat', 'swaps', 'uptime'})


def host_end(name: str) -> str:
    """Return the name if it can be an instance's device on the host."""
    return _matching(_HOST_END, name)


def inside_end(name: str) -> str:
    """Return the name if it can be the other end of such a device."""
    return _matching(_INSIDE_END, name)


def hybrid_bridge(name: str) -> str:
    """Return the name if it can be a bridge that os-vif made for a port."""
    return _matching(_HYBRID_BRIDGE, name)


def proc_file(name: str) -> str:
    """Return the name if it is a file of /proc that LXCFS stands in for."""
    if name not in _PROC_FILES:
        raise ValueError(f'not a file that LXCFS provides: {name!r}')
    return name


def process(pid: int) -> int:
    """Return the process id if it can be a container's."""
    if type(pid) is not int or pid <= 1:
        raise ValueError(f'not the process of a container: {pid!r}')
    return pid


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f'not a network device of an instance: {name!r}')
    return name
