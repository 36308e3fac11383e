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

"""Pure reading of the JSON documents that describe an image.

Two formats name an image's configuration and layers: ``manifest.json`` of
``docker save``, and ``index.json`` of an OCI image layout. Docker 25 and
later write both into one archive; the first then counts.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import posixpath
from typing import Any
from typing import Final

from nova_docker.images import limits

MANIFEST: Final = 'manifest.json'
INDEX: Final = 'index.json'

_INDEX_TYPES: Final = frozenset((
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.docker.distribution.manifest.list.v2+json'))
#: Images that one index may have; with attestations, public ones have dozens.
_MAX_ENTRIES: Final = 500
_OUR_LABELS: Final = 'org.openstack.nova.'


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """Where an archive has the parts of its image.

    :param config: the configuration's member
    :param layers: the layers' members, lowest first
    """

    config: str
    layers: Sequence[str]


def parse(document: bytes, what: str) -> Any:
    """Read JSON strictly.

    :param what: the document's name, for the reason
    :raises Unacceptable: for what is no JSON, and for what two readers
        could understand in two ways
    """
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        pairs = list(pairs)
        result = dict(pairs)
        if len(result) != len(pairs):
            raise limits.Unacceptable(f'its {what} has a key twice')
        return result

    try:
        return json.loads(document.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise limits.Unacceptable(f'its {what} is not valid JSON') from error


def find(documents: Mapping[str, bytes],
         architectures: Sequence[str]) -> Image:
    """Return where the one image is.

    :param documents: the archive's small JSON members by name
    :param architectures: what this host runs, best first, as Go spells it
    :raises Unacceptable: when there is none, or more than one
    """
    if MANIFEST in documents:
        return _saved(parse(documents[MANIFEST], MANIFEST))
    if INDEX in documents:
        return _Layout(documents, architectures).image()
    raise limits.Unacceptable(
        'it has neither the manifest.json of "docker save" nor the '
        'index.json of an OCI image layout; the tar archive of a root file '
        'system needs the container format "bare"')


def _malformed(what: str) -> limits.Unacceptable:
    return limits.Unacceptable(f'its {what} is not as it should be')


def _texts(value: Any, what: str) -> list[str]:
    if not (isinstance(value, list)
            and all(isinstance(item, str) for item in value)):
        raise _malformed(what)
    return value


def _saved(manifest: Any) -> Image:
    if not (isinstance(manifest, list)
            and all(isinstance(entry, dict) for entry in manifest)):
        raise _malformed(MANIFEST)
    if len(manifest) != 1:
        raise limits.Unacceptable(
            f'it holds {len(manifest)} images; save a single one, for a '
            'single platform')
    config = manifest[0].get('Config')
    if not isinstance(config, str):
        raise _malformed(MANIFEST)
    layers = _texts(manifest[0].get('Layers') or [], MANIFEST)
    return Image(config=posixpath.normpath(config),
                 layers=[posixpath.normpath(layer) for layer in layers])


class _Layout:
    """An OCI image layout: an index, manifests, and blobs by digest."""

    def __init__(self, documents: Mapping[str, bytes],
                 architectures: Sequence[str]) -> None:
        self._documents = documents
        self._architectures = architectures
        # By configuration: manifests may share one.
        self._found: dict[str, str] = {}

    def image(self) -> Image:
        index = parse(self._documents[INDEX], INDEX)
        manifests = list({entry['digest']: entry for entry
                          in self._manifests(index)}.values())
        if not manifests:
            raise limits.Unacceptable('its index.json names no image')
        # Without a platform in the index, the configuration tells.
        platforms = {entry['digest']: self._architecture(entry)
                     for entry in manifests}
        for architecture in self._architectures:
            fitting = [entry for entry in manifests
                       if platforms[entry['digest']] == architecture]
            if len(fitting) == 1:
                return self._parts(fitting[0])
            if fitting:
                raise limits.Unacceptable(
                    f'it holds {len(fitting)} images for the architecture '
                    f'{architecture}; put a single one in the archive')
        raise limits.Unacceptable(
            _other_architecture(sorted(set(platforms.values())),
                                self._architectures))

    def _manifests(self, index: Any, depth: int = 0) -> Iterable[Any]:
        entries = index.get('manifests') if isinstance(index, dict) else None
        if not isinstance(entries, list):
            raise _malformed('image index')
        if len(entries) > _MAX_ENTRIES:
            raise limits.Unacceptable('one of its image indexes has more than '
                                      f'{_MAX_ENTRIES} entries')
        # Each document is read once, however often it is named.
        for entry in {_digest(entry): entry for entry in entries}.values():
            if entry.get('mediaType') in _INDEX_TYPES:
                if depth:
                    raise limits.Unacceptable('its image indexes are nested '
                                              'too deeply')
                yield from self._manifests(self._blob(entry), depth + 1)
            elif not _attestation(entry):
                yield entry

    def _architecture(self, entry: Mapping[str, Any]) -> str:
        platform = entry.get('platform')
        if isinstance(platform, dict):
            return _architecture(platform)
        config = self._blob(entry).get('config')
        path = _path(config)
        if path not in self._found:
            self._found[path] = _architecture(self._blob(config))
        return self._found[path]

    def _parts(self, entry: Mapping[str, Any]) -> Image:
        manifest = self._blob(entry)
        layers = manifest.get('layers')
        if not isinstance(layers, list):
            raise _malformed('image manifest')
        return Image(config=_path(manifest.get('config')),
                     layers=[_path(layer) for layer in layers])

    def _blob(self, descriptor: Any) -> dict[str, Any]:
        path = _path(descriptor)
        if path not in self._documents:
            raise limits.Unacceptable(f'its {path} is missing or no document')
        document = self._documents[path]
        if hashlib.sha256(document).hexdigest() != posixpath.basename(path):
            raise limits.Unacceptable(f'its {path} does not match its digest')
        content = parse(document, path)
        if not isinstance(content, dict):
            raise _malformed(path)
        return content


def _digest(entry: Any) -> str:
    digest = entry.get('digest') if isinstance(entry, dict) else None
    if not isinstance(digest, str):
        raise _malformed('image index')
    return digest


def _architecture(platform: Mapping[str, Any]) -> str:
    if platform.get('os', 'linux') != 'linux':
        return str(platform.get('os'))
    return str(platform.get('architecture'))


def _path(descriptor: Any) -> str:
    digest = (descriptor.get('digest') if isinstance(descriptor, dict)
              else None)
    if not isinstance(digest, str):
        raise _malformed('image manifest')
    algorithm, _colon, value = digest.partition(':')
    if (algorithm != 'sha256' or len(value) != 64
            or set(value) - set('0123456789abcdef')):
        raise limits.Unacceptable('it refers to a blob by something else '
                                  'than a SHA-256 digest')
    return f'blobs/sha256/{value}'


def _attestation(entry: Mapping[str, Any]) -> bool:
    """Tell if a manifest only says how another was built."""
    annotations = entry.get('annotations')
    platform = entry.get('platform')
    return ((isinstance(annotations, dict)
             and 'vnd.docker.reference.type' in annotations)
            or (isinstance(platform, dict)
                and platform.get('os') == 'unknown'))


def _other_architecture(found: Sequence[str],
                        wanted: Sequence[str]) -> str:
    return (f"it is for {', '.join(found)}, and this host runs "
            f"{', '.join(wanted)}")


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
        content = parse(document, 'image configuration')
        rootfs = (_get(content, 'rootfs') if isinstance(content, dict)
                  else None)
        if not isinstance(rootfs, dict):
            raise _malformed('image configuration')
        self._content = content
        #: The digests of the unpacked layers, lowest first.
        self.layers = _texts(_get(rootfs, 'diff_ids') or [],
                             'image configuration')

    def check_platform(self, architectures: Sequence[str]) -> None:
        """Refuse an image for another platform.

        :param architectures: what this host runs, as Go spells it
        """
        system = _get(self._content, 'os') or 'linux'
        if system != 'linux':
            raise limits.Unacceptable(
                _other_architecture([str(system)], ['linux']))
        found = _get(self._content, 'architecture') or architectures[0]
        if found not in architectures:
            raise limits.Unacceptable(
                _other_architecture([str(found)], architectures))

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
