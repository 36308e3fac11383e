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
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
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
#: Zeros that a layer may have behind its end. An engine takes them all into
#: memory at once, and a workload that writes meanwhile can cause any number.
_MOST_ZEROS: Final = 32 * 1024 ** 2
_PIECE: Final = 1024 ** 2
_CHANGED: Final = 'the snapshot changed while it was read'
#: What a server boots with. The rest of a configuration is of one host, or is
#: about how the image was built.
_KEPT: Final = ('Cmd', 'Entrypoint', 'Env', 'ExposedPorts', 'Healthcheck',
                'Labels', 'Shell', 'StopSignal', 'User', 'WorkingDir')


class Misjudged(errors.EngineError):
    """The room for the file system was too little, or far too much."""


def archive(engine: client.Engine, container: str, image: dict[str, Any],
            room: int | None = None) -> Generator[bytes, None, None]:
    """Yield a "docker save" archive without a tag.

    In a tar archive a member's size stands before it. If it is not known, the
    file system is read twice, the first time to learn its size, which costs
    less than any place to keep it. If it is known about, the layer is filled
    up behind its end mark, where no reader looks, with zeros.

    :param container: whose file system it is; one that does not run
    :param image: the engine's inspection of the image that it is made from
    :param room: bytes that most likely are enough for the file system
    :raises Misjudged: the room was not enough, or would be wasted
    """
    size = _measured(engine, container) if room is None else room
    digest = hashlib.sha256()
    yield tarstream.encode(_LAYER, size)
    # An engine that is not told to stop would hold what is to be removed.
    with contextlib.closing(engine.export(container)) as tree:
        for piece in _layer(tree, size, 0 if room is None else _MOST_ZEROS):
            digest.update(piece)
            yield piece
    yield tarstream.padding(size)
    yield tarstream.member(_CONFIG, _config(image, digest.hexdigest()))
    yield tarstream.member('manifest.json', json.dumps([
        {'Config': _CONFIG, 'RepoTags': None, 'Layers': [_LAYER]}]).encode())
    yield tarstream.END


def _measured(engine: client.Engine, container: str) -> int:
    return sum(len(piece) for piece in engine.export(container))


def _layer(tree: Iterable[bytes], size: int, most: int) -> Iterator[bytes]:
    """Yield so many bytes of a tar archive and zeros, but at most so many."""
    for piece in tree:
        size -= len(piece)
        if size < 0:
            raise Misjudged(_CHANGED)
        yield piece
    if size > most:
        raise Misjudged(_CHANGED)
    while size:
        yield bytes(min(size, _PIECE))
        size -= min(size, _PIECE)


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
