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

        Two things are taken out. Labels in our name would be those of every
        container made from the image. A declared volume would put data where
        neither a snapshot nor the flavor's disk size sees it, and a server's
        data is on its root disk.
        """
        changed = [_clean(_get(self._content, section))
                   for section in ('config', 'container_config')]
        return (json.dumps(self._content).encode() if any(changed)
                else self._document)


def _clean(section: Any) -> bool:
    if not isinstance(section, dict):
        return False
    changed = bool(section.pop(_field(section, 'volumes'), None))
    labels = _get(section, 'labels')
    if isinstance(labels, dict):
        for label in [label for label in labels
                      if label.startswith(_OUR_LABELS)]:
            del labels[label]
            changed = True
    return changed
