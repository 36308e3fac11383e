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

"""PURE: where a workload whose root is a volume has what others have in /."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import Final

from nova_docker.engine import client
from nova_docker import names
from nova_docker.rootvolume import gate

#: Where the volume is in the container until it is its root.
PLACE: Final = '/.root'
_DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def mount(source: str) -> client.Document:
    """Return the mount of a root file system, as the engine's API has it."""
    return {'Type': 'bind', 'Source': source, 'Target': PLACE}


def source(container: client.Document) -> str | None:
    """Return the root file system of a container whose root is a volume.

    :param container: inspected
    :returns: a directory of the host; None if the root is the engine's
    """
    for each in container['HostConfig'].get('Mounts') or ():
        if each['Target'] == PLACE:
            return str(each['Source'])
    return None


def command(container: client.Document) -> list[str]:
    """Return the program that a container runs, and its arguments."""
    words = [container['Path'], *container['Args']]
    return words[1:] if words[0] == gate.PROGRAM else words


def workdir(container: client.Document) -> str:
    """Return the working directory of a container's program."""
    config = container['Config']
    return ((config.get('Labels') or {}).get(names.WORKDIR)
            or config['WorkingDir'] or '/')


def search_path(environment: Mapping[str, str]) -> list[str]:
    """Return the directories in which a program is looked for."""
    return environment.get('PATH', _DEFAULT_PATH).split(':')


def environment(container: client.Document) -> dict[str, str]:
    """Return a container's environment."""
    return variables(container['Config']['Env'] or ())


def variables(entries: Any) -> dict[str, str]:
    """Return an environment that is a list of ``NAME=value``."""
    return {name: value for name, _equals, value in (
        entry.partition('=') for entry in entries)}
