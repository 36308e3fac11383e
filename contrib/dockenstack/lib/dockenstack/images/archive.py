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

"""Write an image as `docker save` would: one layer, and its description."""

from collections.abc import Sequence
import hashlib
import io
import json
import pathlib
import tarfile

from dockenstack import shell


class Layer:
    """A root file system in the making; the same input, the same bytes."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def directory(self, path: str, mode: int = 0o755) -> None:
        info = self._info(path, mode)
        info.type = tarfile.DIRTYPE
        self._add(info)

    def file(self, path: str, content: str | bytes,
             mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        info = self._info(path, mode)
        info.size = len(data)
        self._add(info, data)

    def copy(self, path: str) -> None:
        """Take a file of this machine, at the same path."""
        source = pathlib.Path(path)
        self.file(path, source.read_bytes(), source.stat().st_mode & 0o7777)

    def link(self, path: str, target: str) -> None:
        info = self._info(path, 0o777)
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self._add(info)

    def programs(self, *paths: str) -> None:
        """Take programs and libraries of this machine with all they load."""
        for path in paths:
            self.copy(path)
            loaded = shell.read('ldd', path, check=False)
            for word in loaded.split():
                if word.startswith('/') and word not in self.entries:
                    self.copy(word)

    def tar(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as archive:
            for _, (info, data) in sorted(self.entries.items()):
                archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def _info(self, path: str, mode: int) -> tarfile.TarInfo:
        parent = str(pathlib.PurePosixPath(path).parent)
        if parent != '/' and parent not in self.entries:
            self.directory(parent)
        info = tarfile.TarInfo(path.lstrip('/'))
        info.mode = mode
        return info

    def _add(self, info: tarfile.TarInfo, data: bytes = b'') -> None:
        self.entries['/' + info.name] = (info, data)


def save(layer: Layer, command: Sequence[str], name: str,
         path: pathlib.Path) -> None:
    """Put the archive of an image in place."""
    content = layer.tar()
    digest = hashlib.sha256(content).hexdigest()
    config = json.dumps({
        'architecture': shell.read('dpkg', '--print-architecture').strip(),
        'os': 'linux',
        'created': '1970-01-01T00:00:00Z',
        'config': {'Cmd': list(command), 'Env': [
            'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin'
            ':/sbin:/bin']},
        'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{digest}']},
        'history': [{'created': '1970-01-01T00:00:00Z',
                     'created_by': f'dockenstack {name}'}],
    }).encode()
    config_name = f'{hashlib.sha256(config).hexdigest()}.json'
    manifest = json.dumps([{
        'Config': config_name, 'RepoTags': [f'{name}:latest'],
        'Layers': [f'{digest}/layer.tar']}]).encode()
    draft = path.with_suffix('.new')
    with tarfile.open(draft, 'w') as archive:
        for member, data in ((f'{digest}/layer.tar', content),
                             (config_name, config),
                             ('manifest.json', manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    draft.replace(path)
