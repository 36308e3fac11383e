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

"""A container's whole file system as an image archive of one layer."""

from __future__ import annotations

from collections.abc import Generator
import hashlib
import json
from typing import Any
from typing import Final

from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import tarstream
from nova_docker import names

_LAYER: Final = 'layer.tar'
_CONFIG: Final = 'config.json'
#: What a server boots with. The rest of a configuration is of one host, or is
#: about how the image was built.
_KEPT: Final = ('Cmd', 'Entrypoint', 'Env', 'ExposedPorts', 'Healthcheck',
                'Labels', 'Shell', 'StopSignal', 'User', 'WorkingDir')


def archive(engine: client.Engine, container: str,
            image: dict[str, Any]) -> Generator[bytes, None, None]:
    """Yield a "docker save" archive without a tag.

    In a tar archive a member's size stands before it. So the file system is
    read twice, the first time to learn its size, which costs less than any
    place to keep it.

    :param container: whose file system it is; one that does not run
    :param image: the engine's inspection of the image that it is made from
    """
    left = size = sum(len(piece) for piece in engine.export(container))
    digest = hashlib.sha256()
    yield tarstream.encode(_LAYER, size)
    for piece in engine.export(container):
        left -= len(piece)
        digest.update(piece)
        yield piece
    if left:
        raise errors.EngineError('the snapshot changed while it was read')
    yield tarstream.padding(size)
    yield tarstream.member(_CONFIG, _config(image, digest.hexdigest()))
    yield tarstream.member('manifest.json', json.dumps([
        {'Config': _CONFIG, 'RepoTags': None, 'Layers': [_LAYER]}]).encode())
    yield tarstream.END


def _config(image: dict[str, Any], layer: str) -> bytes:
    config = {key: image['Config'][key] for key in _KEPT
              if image['Config'].get(key)}
    labels = config.get('Labels') or {}
    config['Labels'] = {key: value for key, value in labels.items()
                        if not key.startswith(names.LABEL_PREFIX)}
    return json.dumps({
        'architecture': image['Architecture'],
        'os': image['Os'],
        'created': image['Created'],
        'config': config,
        'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{layer}']},
        'history': [{'created': image['Created'], 'comment': 'snapshot'}],
    }).encode()
