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

"""An image's bytes as Glance sends them, verified as Nova is configured."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import queue
import threading
from types import TracebackType
from typing import Final
from typing import Self

from nova import context as nova_context
from nova.image import glance
from nova import objects

from nova_docker.images import limits

#: Pieces that wait for the engine; Glance sends up to 1 MiB in one.
_WAITING: Final = 8


class _Abandoned(BaseException):
    """Nobody wants the rest.

    Not an Exception: Nova's image code would log it as an error.
    """


class Download:
    """A download that runs beside its reader.

    Nova can verify an image's signature only while it writes to a file
    itself: what its iterator yields is either unverified or used up. So it
    writes to this object in a thread of its own, which also lets Glance's
    hashing overlap with the engine's work. A failed check comes as an error
    at the end of the iteration.

    :param image_id: what is downloaded
    :param fill: writes it to this object
    :param timeout: seconds without a byte before it is given up
    """

    def __init__(self, image_id: str, fill: Callable[[Download], None],
                 timeout: int) -> None:
        self._fill = fill
        self._timeout = timeout
        self._pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(
            _WAITING)
        self._abandoned = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f'download {image_id}', daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._abandoned.set()
        # A writer that waits for room finds out that nobody reads.
        with contextlib.suppress(queue.Empty):
            while True:
                self._pieces.get_nowait()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._next()) is not None:
            if isinstance(piece, OSError):
                # So does Glance's client tell of a wrong checksum, and
                # requests of a connection that broke.
                raise limits.Unacceptable(
                    f'its download failed: {piece}') from piece
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _next(self) -> bytes | BaseException | None:
        try:
            return self._pieces.get(timeout=self._timeout)
        except queue.Empty as error:
            raise limits.Unacceptable(
                f'Glance sent nothing for {self._timeout} s') from error

    # What Nova writes to

    def write(self, data: bytes) -> None:
        """Take the next piece; blocks while the reader is behind."""
        if self._abandoned.is_set():
            raise _Abandoned
        self._pieces.put(data)

    def truncate(self, size: int) -> None:
        """Nova empties a file whose signature is wrong; an error follows."""

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            self._fill(self)
        except BaseException as error:
            end = error
        self._pieces.put(end)


def signed(image_api: glance.API, context: nova_context.RequestContext,
           image_id: str, trusted_certs: objects.TrustedCerts | None,
           timeout: int) -> Download:
    """Return the download of a user's image, verified by Nova.

    :param trusted_certs: the certificates that may have signed the image
    :param timeout: seconds without a byte before it is given up
    """
    return Download(
        image_id, lambda target: image_api.download(
            context, image_id, data=target, trusted_certs=trusted_certs),
        timeout)


def promised(context: nova_context.RequestContext, image_id: str,
             sha256: str, timeout: int) -> Download:
    """Return the download of what another compute host has sent.

    That host has told what it is, so that nobody else needs to be believed,
    neither Glance nor who owns the image there. Nobody has signed it, so
    Nova's own check, where it is configured, would fail.

    :param sha256: its digest, in hexadecimal digits
    :param timeout: seconds without a byte before it is given up
    """
    def fill(target: Download) -> None:
        digest = hashlib.sha256()
        for piece in glance.GlanceClientWrapper().call(
                context, 2, 'data', args=(image_id,)) or ():
            digest.update(piece)
            target.write(piece)
        if digest.hexdigest() != sha256:
            raise limits.Unacceptable(
                'its content is not what the other compute host sent')
    return Download(image_id, fill, timeout)
