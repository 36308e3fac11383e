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

"""An image's configuration: what is checked in it, and what is taken out."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any
from typing import Final

from nova_docker.images import documents
from nova_docker.images import limits

_OUR_LABELS: Final = 'org.openstack.nova.'
#: Characters of JSON. Each list of the host's containers has their labels and
#: their commands. Builders write labels of some kilobytes.
_MAX_LABELS: Final = 64 * 1024
_MAX_SECTION: Final = 256 * 1024
#: Nanoseconds between two health checks, each of which costs the host more
#: than the server's own control group pays for.
_SHORTEST_INTERVAL: Final = 10 * 10 ** 9


def _field(document: Mapping[str, Any], name: str) -> str:
    """Return how a document spells a key; Go reads every spelling."""
    spellings = [key for key in document if key.casefold() == name]
    if len(spellings) > 1:
        raise limits.Unacceptable(
            f'its configuration has {name!r} in two spellings')
    return spellings[0] if spellings else name


def _get(document: Mapping[str, Any], name: str) -> Any:
    return document.get(_field(document, name))


class Config:
    """An image's configuration.

    :param document: as it is in the archive
    """

    def __init__(self, document: bytes) -> None:
        self._document = document
        content = documents.parse(document, 'image configuration')
        rootfs = (_get(content, 'rootfs') if isinstance(content, dict)
                  else None)
        if not isinstance(rootfs, dict):
            raise documents.malformed('image configuration')
        self._content = content
        #: The digests of the unpacked layers, lowest first.
        self.layers = documents.texts(
            _get(rootfs, 'diff_ids') or [], 'image configuration')

    def check_platform(self, architectures: Sequence[str]) -> None:
        """Refuse an image for another platform.

        :param architectures: what this host runs, as Go spells it
        """
        system = _get(self._content, 'os') or 'linux'
        if system != 'linux':
            raise limits.Unacceptable(
                documents.other_architecture([str(system)], ['linux']))
        found = _get(self._content, 'architecture') or architectures[0]
        if found not in architectures:
            raise limits.Unacceptable(
                documents.other_architecture([str(found)], architectures))

    def check_layers(self, digests: Sequence[str | None]) -> None:
        """Refuse layers that are not the image's.

        :param digests: what they unpack to, lowest first; None: not known
        """
        if len(self.layers) != len(digests):
            raise limits.Unacceptable(
                f'its configuration names {len(self.layers)} layers, and its '
                f'manifest {len(digests)}')
        for number, (expected, digest) in enumerate(
                zip(self.layers, digests, strict=True), 1):
            if digest not in (expected, None):
                raise limits.Unacceptable(
                    f'layer {number} does not match the digest that the '
                    'configuration has for it: the image is damaged')

    def cleaned(self) -> bytes:
        """Return the document as we want it.

        Labels in our name are taken out, as they would be those of every
        container made from the image. A declared volume would put data where
        neither a snapshot nor the flavor's disk size sees it, and a server's
        data is on its root disk. So many labels that they are a burden go,
        too: no server can see them, and no user can take them out. And health
        checks are slowed down.

        :raises Unacceptable: if the rest would be a burden
        """
        changed = [_clean(_get(self._content, section))
                   for section in ('config', 'container_config')]
        return (json.dumps(self._content).encode() if any(changed)
                else self._document)


def _clean(section: Any) -> bool:
    """Change a section as need be; tell whether it was."""
    if not isinstance(section, dict):
        return False
    changed = [bool(section.pop(_field(section, 'volumes'), None)),
               _clean_labels(section),
               _slow_down(_get(section, 'healthcheck'))]
    if len(json.dumps(section)) > _MAX_SECTION:
        raise limits.Unacceptable(
            'its command, environment and so on take more than '
            f'{_MAX_SECTION // 1024} KiB')
    return any(changed)


def _clean_labels(section: dict[str, Any]) -> bool:
    key = _field(section, 'labels')
    labels = section.get(key)
    if not isinstance(labels, dict):
        return False
    kept = {label: value for label, value in labels.items()
            if not label.startswith(_OUR_LABELS)}
    section[key] = kept if len(json.dumps(kept)) <= _MAX_LABELS else {}
    return len(section[key]) != len(labels)


def _slow_down(check: Any) -> bool:
    if not isinstance(check, dict):
        return False
    # 0 stands for the engine's default. It takes what is negative, too.
    keys = [key for key in (_field(check, 'interval'),
                            _field(check, 'startinterval'))
            if isinstance(check.get(key), int) and check[key]
            and check[key] < _SHORTEST_INTERVAL]
    check.update(dict.fromkeys(keys, _SHORTEST_INTERVAL))
    return bool(keys)
