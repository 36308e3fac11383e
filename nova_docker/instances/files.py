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

"""Files of a container, which need not run."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import http
import io
import tarfile
import time
from typing import Protocol

from nova_docker.engine import client
from nova_docker import errors

#: Bytes of a file that is read at most. The image's owner chose its size.
LIMIT = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Member:
    """A file or directory to write.

    :param path: below the directory that the archive is unpacked at
    :param mode: its permissions
    :param content: of a file; None makes it a directory
    """

    path: str
    mode: int
    content: bytes | None = None
    uid: int = 0
    gid: int = 0


class Source(Protocol):
    """Whose files they are: an engine's, or what knows of other roots."""

    def container(self, name: str) -> client.Document:
        """Inspect a container."""

    def stat(self, name: str, path: str) -> client.FileStat:
        """Describe a file of it."""

    def read_archive(self, name: str, path: str) -> bytes:
        """Return a tar of a small file."""

    def write_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpack a tar in it."""


def pack(members: Iterable[Member]) -> bytes:
    """Return a tar of files and directories that are made now."""
    packed, now = io.BytesIO(), int(time.time())
    with tarfile.open(fileobj=packed, mode='w') as tar:
        for member in members:
            entry = tarfile.TarInfo(member.path)
            entry.mode, entry.mtime = member.mode, now
            entry.uid, entry.gid = member.uid, member.gid
            if member.content is None:
                entry.type = tarfile.DIRTYPE
            content = member.content or b''
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def find(engine: Source, name: str,
         path: str) -> tuple[str, client.FileStat]:
    """Return where a path leads, through symbolic links, and what is there.

    :raises EngineNotFound: if that is nothing
    """
    found = _stat(engine, name, path)
    if found.link_target:
        # The engine has followed every link already, inside the container.
        path, found = found.link_target, _stat(engine, name,
                                               found.link_target)
    return path, found


def _stat(engine: Source, name: str, path: str) -> client.FileStat:
    try:
        return engine.stat(name, path)
    except errors.EngineError as error:
        # So the engine says, without a word, that a path leads through a
        # file or round in circles.
        if error.status != http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise errors.EngineNotFound(f'{path} leads nowhere', 404) from error


def read(engine: Source, name: str, path: str) -> str:
    """Return the text of a file; empty if there is no such file.

    :raises EngineError: if it is too large
    """
    try:
        path, found = find(engine, name, path)
    except errors.EngineNotFound:
        return ''
    if not found.is_file:
        return ''
    if found.size > LIMIT:
        raise errors.EngineError(
            f"the image's {path} is larger than {LIMIT} bytes")
    with tarfile.open(fileobj=io.BytesIO(
            engine.read_archive(name, path))) as tar:
        stream = tar.extractfile(tar.getmembers()[0])
        return stream.read().decode(errors='surrogateescape') if stream else ''
