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

"""Makes image archives, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import hashlib
import io
import json
import tarfile
from typing import Any
from typing import TypeAlias

import zstandard

#: A limit that no archive of the tests reaches.
ROOM = 2 ** 30


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


#: A file's name and content, or something that is no file.
Member: TypeAlias = tuple[str, bytes] | tarfile.TarInfo


def tar(members: Iterable[Member],
        **options: Any) -> bytes:
    """Return a tar of files, and of members that are no files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w', **options) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def special(name: str, kind: bytes, target: str = '') -> tarfile.TarInfo:
    """Return a member without data."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


#: Two layers as an engine would write them.
LOWER = tar([('etc/hostname', b'lower\n')])
UPPER = tar([('etc/hostname', b'upper\n'), ('data', bytes(200_000))])


def config(layers: Sequence[bytes] = (LOWER, UPPER),
           **changes: Any) -> bytes:
    """Return the configuration of an image of these (unpacked) layers."""
    return encoded({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Cmd': ['/bin/sh']},
        'rootfs': {'type': 'layers', 'diff_ids': [
            f'sha256:{digest(layer)}' for layer in layers]},
        **changes})


def saved(changes: Mapping[str, bytes] | None = None,
          layers: Sequence[bytes] = (LOWER, UPPER)) -> dict[str, bytes]:
    """Return the files of a "docker save" archive, as Docker 20.10 has them.

    :param changes: files that are different, or more
    :param layers: lowest first
    """
    described = config(layers)
    files = {f'{number}/layer.tar': layer
             for number, layer in enumerate(layers)}
    files['config.json'] = described
    files['repositories'] = encoded({'someone/else': {'latest': '0'}})
    files['manifest.json'] = manifest(Layers=list(files)[:len(layers)])
    return {**files, **(changes or {})}


def manifest(**changes: Any) -> bytes:
    """Return a manifest.json of one image."""
    return encoded([{'Config': 'config.json',
                     'RepoTags': ['someone/else:latest'],
                     'Parent': 'sha256:' + 64 * '0',
                     'Layers': ['0/layer.tar', '1/layer.tar'], **changes}])


class Layout:
    """An OCI image layout in the making."""

    def __init__(self) -> None:
        self.files = {'oci-layout': encoded({'imageLayoutVersion': '1.0.0'})}

    def blob(self, content: bytes, kind: str = 'config.v1+json',
             **more: Any) -> dict[str, Any]:
        """Add a blob and return its descriptor."""
        self.files[f'blobs/sha256/{digest(content)}'] = content
        return {'mediaType': f'application/vnd.oci.image.{kind}',
                'digest': f'sha256:{digest(content)}',
                'size': len(content), **more}

    def image(self, blobs: Sequence[bytes] = (LOWER, UPPER),
              described: bytes | None = None,
              **more: Any) -> dict[str, Any]:
        """Add an image and return its descriptor.

        :param blobs: the layers as they are stored, maybe compressed
        :param described: its configuration
        :param more: goes into the descriptor
        """
        return self.blob(encoded({
            'schemaVersion': 2,
            'config': self.blob(described or config()),
            'layers': [self.blob(layer, 'layer.v1.tar') for layer in blobs],
        }), 'manifest.v1+json', **more)

    def index(self, *entries: Mapping[str, Any]) -> dict[str, Any]:
        """Add a nested index and return its descriptor."""
        return self.blob(encoded({'schemaVersion': 2, 'manifests': entries}),
                         'index.v1+json')

    def packed(self, *entries: Mapping[str, Any], **options: Any) -> bytes:
        """Return the archive with these images in its index.json."""
        return tar([*self.files.items(), ('index.json', encoded(
            {'schemaVersion': 2, 'manifests': entries}))], **options)


def platform(architecture: str) -> dict[str, str]:
    return {'os': 'linux', 'architecture': architecture}


def pieces(content: bytes, size: int = 2 ** 16) -> Iterator[bytes]:
    """Yield a stream in pieces of a size."""
    for start in range(0, len(content), size):
        yield content[start:start + size]
