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

"""PURE: how a root file system is run, kept with it on its volume.

The image said so once. Whoever can write to the volume can write this, too:
it may ask for what an image may ask for, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
from typing import Any
from typing import Final

from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.rootvolume import gate
from nova_docker.rootvolume import identity
from nova_docker.rootvolume import layout

#: Bytes that a description has at most.
LIMIT: Final = 256 * 1024
_FORMAT = 1


def _is_words(value: Any) -> bool:
    return (isinstance(value, list)
            and all(isinstance(each, str) for each in value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: What is kept of an image's configuration, and what each must be.
_KINDS: Mapping[str, Callable[[Any], bool]] = {
    'Cmd': _is_words, 'Entrypoint': _is_words, 'Env': _is_words,
    'StopSignal': _is_text, 'User': _is_text, 'WorkingDir': _is_text}
#: What an older driver has kept as well. The engine would run a health check
#: before the volume is the root.
_IGNORED = frozenset({'Healthcheck'})


def of_image(image: client.Document) -> bytes:
    """Return the description of a root file system from an image.

    :param image: the engine's inspection of it
    """
    config = image['Config'] or {}
    return json.dumps({'format': _FORMAT, 'config': {
        key: config[key] for key in _KINDS if config.get(key)}}).encode()


def parse(text: bytes) -> dict[str, Any]:
    """Return the configuration that a description has.

    :raises ValueError: it is none
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError('it is too deep') from error
    if not isinstance(found, dict) or found.get('format') != _FORMAT:
        raise ValueError('it has another format')
    config = found.get('config')
    if not isinstance(config, dict):
        raise ValueError('it has no configuration')
    kept = {key: value for key, value in config.items()
            if key not in _IGNORED}
    for key, value in kept.items():
        if key not in _KINDS or not _KINDS[key](value):
            raise ValueError(f'{key!r} is not what an image can have')
    return kept


@dataclasses.dataclass(frozen=True)
class Root:
    """A root file system on a volume that is mounted on this host.

    :param source: its directory
    :param config: as its image had it
    :param passwd: the text of its /etc/passwd
    :param group: and of its /etc/group
    """

    source: str
    config: Mapping[str, Any]
    passwd: str
    group: str

    def apply(self, body: client.Document) -> client.Document:
        """Return the create arguments of a workload that has it as root.

        :param body: those of one whose root is an image, which win over what
            that image had
        :raises EngineBadRequest: there is nothing to run, or nobody to run it
        """
        who = identity.resolve(
            body.get('User') or self.config.get('User', ''),
            self.passwd, self.group)
        host = {key: value for key, value in body['HostConfig'].items()
                if key != 'StorageOpt'}
        return {
            **{key: value for key, value in self.config.items()
               if key == 'StopSignal'},
            **body,
            'Image': names.GATE_IMAGE,
            'Entrypoint': [gate.PROGRAM],
            'Cmd': self._command(body),
            'Env': self._environment(body, who.home),
            'User': f'{who.uid}:{who.gid}',
            'WorkingDir': '/',
            'Labels': {**body['Labels'], names.WORKDIR: (
                body.get('WorkingDir') or self.config.get('WorkingDir')
                or '/')},
            'HostConfig': {
                **host, 'GroupAdd': [str(each) for each in who.groups],
                'Mounts': [*host['Mounts'], layout.mount(self.source)]},
        }

    def _command(self, body: client.Document) -> list[str]:
        """Return the words to run, by the rules of the engine."""
        first, rest = body.get('Entrypoint'), body.get('Cmd')
        if not first:
            rest = rest or self.config.get('Cmd')
            first = (self.config.get('Entrypoint') if first is None
                     else first)
        words = [*(first or () if first != [''] else ()), *(rest or ())]
        if not words:
            raise errors.EngineBadRequest('the image does not say what to '
                                          'run')
        return words

    def _environment(self, body: client.Document, home: str) -> list[str]:
        found = {'PATH': ':'.join(layout.search_path({})), 'HOME': home,
                 **layout.variables(self.config.get('Env', ())),
                 **layout.variables(body.get('Env') or ())}
        return [f'{name}={value}' for name, value in found.items()]
