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

"""Sends an archive to Glance."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterator
import contextlib
import hashlib
import time
from typing import Any
from typing import Final

from nova import context as nova_context
from nova import exception
from nova.image import glance

from nova_docker.images import flattened
from nova_docker.images import readahead

#: Bytes that an upload may hand to HTTP in one chunk. Glance under uWSGI, as
#: most clouds run it, answers 500 to a chunk that is larger than its buffer.
_CHUNK: Final = 64 * 1024
#: Seconds in which Glance has begun an upload, in which it knows of one that
#: it has ended, and between two looks at it.
_BEGINNING: Final = 5
_END: Final = 60
_LOOK: Final = 0.1


class _File:
    """An archive as the file that Glance's client reads from.

    :param digest: of what is handed out, if anybody wants it
    """

    def __init__(self, pieces: Iterator[bytes],
                 digest: hashlib._Hash | None) -> None:
        self._pieces = pieces
        self._digest = digest
        self._rest = memoryview(b'')
        #: Bytes handed out so far.
        self.size = 0

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to ``size`` bytes, but no more than HTTP should get."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b''
            self._rest = memoryview(piece)
        size = min(size, _CHUNK)
        chunk, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self.size += len(chunk)
        if self._digest:
            self._digest.update(chunk)
        return chunk


class Upload:
    """Fills one image in Glance.

    :param image_api: where it is
    :param metadata: what is said of it
    :param hashed: whether who receives it is to know what was sent
    """

    def __init__(self, image_api: glance.API,
                 context: nova_context.RequestContext, image_id: str,
                 metadata: dict[str, Any], hashed: bool = False) -> None:
        self._image_api = image_api
        self._context = context
        self._image_id = image_id
        self._metadata = metadata
        self._hashed = hashed

    def send(self, archive: Generator[bytes, None, None]) -> str:
        """Upload it.

        :returns: its SHA-256 in hexadecimal digits, if it was to be hashed
        :raises Misjudged: the archive broke off, and Glance takes another
        """
        digest = hashlib.sha256() if self._hashed else None
        try:
            # The engine reads the files while Glance hashes what came before.
            with contextlib.closing(
                    readahead.ahead(self._begun(archive))) as pieces:
                self._fill(_File(pieces, digest))
        except flattened.Misjudged:
            if not self._becomes('queued', _END):
                raise self._refused('an upload that ended in the middle is '
                                    'not over for Glance') from None
            raise
        return digest.hexdigest() if digest else ''

    def _fill(self, file: _File) -> None:
        image = self._image_api.update(self._context, self._image_id,
                                       self._metadata, data=file)
        if image['size'] != file.size:
            # Nova tries a failed upload again, and could only send the rest.
            raise self._refused(f"Glance has {image['size']} of the "
                                f"archive's {file.size} bytes")

    def _begun(self, archive: Generator[bytes, None, None]
               ) -> Generator[bytes, None, None]:
        """Yield it, but let it break off only when Glance is at work on it.

        Glance would take an end before the beginning for neither, and go on.
        """
        with contextlib.closing(archive):
            try:
                yield from archive
            except flattened.Misjudged:
                self._becomes('saving', _BEGINNING)
                raise

    def _becomes(self, status: str, seconds: int) -> bool:
        limit = time.monotonic() + seconds
        while True:
            image = self._image_api.get(self._context, self._image_id)
            if image['status'] == status:
                return True
            if time.monotonic() > limit:
                return False
            time.sleep(_LOOK)

    def _refused(self, reason: str) -> exception.ImageUnacceptable:
        return exception.ImageUnacceptable(image_id=self._image_id,
                                           reason=reason)
