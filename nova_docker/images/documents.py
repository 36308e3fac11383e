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
_MAX_NAMED: Final = 10


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
        'system has bin, sbin, usr, etc, lib or init at its top, and the '
        'container format "bare"')


def malformed(what: str) -> limits.Unacceptable:
    """Return the refusal of a document of another shape."""
    return limits.Unacceptable(f'its {what} is not as it should be')


def texts(value: Any, what: str) -> list[str]:
    """Return a list of strings.

    :raises Unacceptable: when it is none
    """
    if not (isinstance(value, list)
            and all(isinstance(item, str) for item in value)):
        raise malformed(what)
    return value


def _saved(manifest: Any) -> Image:
    if not (isinstance(manifest, list)
            and all(isinstance(entry, dict) for entry in manifest)):
        raise malformed(MANIFEST)
    if len(manifest) != 1:
        raise limits.Unacceptable(
            f'it holds {len(manifest)} images; save a single one, for a '
            'single platform')
    config = manifest[0].get('Config')
    if not isinstance(config, str):
        raise malformed(MANIFEST)
    layers = texts(manifest[0].get('Layers') or [], MANIFEST)
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
            other_architecture(sorted(set(platforms.values())),
                               self._architectures))

    def _manifests(self, index: Any, depth: int = 0) -> Iterable[Any]:
        entries = index.get('manifests') if isinstance(index, dict) else None
        if not isinstance(entries, list):
            raise malformed('image index')
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
            raise malformed('image manifest')
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
            raise malformed(path)
        return content


def _digest(entry: Any) -> str:
    digest = entry.get('digest') if isinstance(entry, dict) else None
    if not isinstance(digest, str):
        raise malformed('image index')
    return digest


def _architecture(platform: Mapping[str, Any]) -> str:
    if platform.get('os', 'linux') != 'linux':
        return str(platform.get('os'))
    return str(platform.get('architecture'))


def _path(descriptor: Any) -> str:
    digest = (descriptor.get('digest') if isinstance(descriptor, dict)
              else None)
    if not isinstance(digest, str):
        raise malformed('image manifest')
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


def other_architecture(found: Sequence[str],
                       wanted: Sequence[str]) -> str:
    """Return why an image is refused that is for another platform."""
    named = ', '.join(map(limits.quoted, found[:_MAX_NAMED]))
    return f"it is for {named}, and this host runs {', '.join(wanted)}"
