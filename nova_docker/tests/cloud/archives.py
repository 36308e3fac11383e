# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Archives of container images, made from the cloud's own."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import io
import json
import tarfile
from typing import Any

from nova_docker.tests.cloud import clouds
from nova_docker.tests.unit.images import archives


@functools.cache
def _parts(name: str) -> dict[str, bytes]:
    """Return the files of an image's archive, by their names."""
    image = clouds.connection('demo').image
    content = image.download_image(clouds.image_id(name)).content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: stream.read() for member in archive
                if (stream := archive.extractfile(member))}


def busybox(command: Sequence[str] = ('/bin/sh',), *,
            files: Mapping[str, bytes] | None = None,
            tags: Sequence[str] = ()) -> bytes:
    """Return the archive of an image with busybox's commands.

    :param command: what it runs
    :param files: what it has besides, by the path below /
    :param tags: the names that the archive claims
    """
    return _extended('busybox', files or {}, tags, Cmd=list(command))


def ssh(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of the image that one can log in to, with files."""
    return _extended('ssh', files)


def _extended(name: str, files: Mapping[str, bytes],
              tags: Sequence[str] = (), **config: Any) -> bytes:
    layers = _layers(name, files)
    described = archives.encoded(_config(name, layers, config))
    return archives.tar([
        *((f'{number}/layer.tar', layer)
          for number, layer in enumerate(layers)),
        ('config.json', described),
        ('manifest.json', archives.encoded([{
            'Config': 'config.json', 'RepoTags': list(tags),
            'Layers': [f'{number}/layer.tar'
                       for number in range(len(layers))]}])),
    ])


def _document(image: str, name: str) -> Any:
    return json.loads(_parts(image)[name])


def _layers(image: str, files: Mapping[str, bytes]) -> list[bytes]:
    [lowest] = _document(image, 'manifest.json')[0]['Layers']
    own = [archives.tar(files.items())] if files else []
    return [_parts(image)[lowest], *own]


def _config(image: str, layers: list[bytes],
            changes: Mapping[str, Any]) -> dict[str, Any]:
    found = _document(image, _document(image, 'manifest.json')[0]['Config'])
    found['config'].update(changes)
    found['rootfs']['diff_ids'] = [
        f'sha256:{archives.digest(layer)}' for layer in layers]
    found.pop('history', None)
    return dict(found)
