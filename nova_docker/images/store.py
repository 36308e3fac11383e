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

"""The engine's images that came from Glance: fetched once, found by id."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import datetime
import functools
import platform
import threading
from typing import Final
from typing import TypeAlias

from cryptography import exceptions as cryptography_exceptions
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova import objects
from nova import utils
from oslo_log import log as logging
from oslo_utils import timeutils

from nova_docker import conf
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import archive
from nova_docker.images import download
from nova_docker.images import limits
from nova_docker.images import rootfs
from nova_docker.images import sharing
from nova_docker import names

CONF = conf.CONF
LOG = logging.getLogger(__name__)

_GIB: Final = 1024 ** 3
#: What Go calls the machines that uname knows, best first.
_ARCHITECTURES: Final = {
    'x86_64': ('amd64', '386'),
    'aarch64': ('arm64',),
    'armv7l': ('arm',),
}
#: A root file system does not say what to run.
ROOTFS_CHANGES: Final = ('CMD ["/bin/sh"]',)


def architectures() -> tuple[str, ...]:
    """Return what images this host runs, best first, as Go spells it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, (machine,))


#: Begins the download of an image.
_Start: TypeAlias = Callable[[], download.Download]


class _Source:
    """A stream that remembers what went wrong in it.

    An error in a request's body comes out of the HTTP client as another one,
    or behind the engine's complaint about the body's sudden end.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            self.failure = error
            raise


class Store:
    """Brings Glance images into the engine.

    :param engine: where images go
    :param image_api: where they come from
    """

    def __init__(self, engine: client.Engine, image_api: glance.API) -> None:
        self._engine = engine
        self._image_api = image_api
        self._layers = sharing.Layers(engine)
        self._lock = threading.Lock()
        self._fetching: dict[str, futures.Future[bool]] = {}
        self._touching = threading.Lock()

    def ensure(self, context: nova_context.RequestContext,
               instance: objects.Instance, image_meta: objects.ImageMeta,
               sha256: str | None = None) -> str:
        """Return the engine's name of an image, fetching it if need be.

        :param instance: says which certificates it trusts
        :param sha256: the digest by which an image is verified that another
            compute host has made, and nobody has signed
        :raises nova.exception.ImageUnacceptable: for what is no container
            image, or none that this host may run, or not what was signed
        :raises nova.exception.CertificateValidationFailed: when none of the
            certificates leads to the one that signed it
        """
        reference = names.image_reference(
            image_meta.id, [sha256] if sha256 else _demands(instance))
        self._obtain(context, image_meta, instance, reference, sha256)
        return reference

    def cache(self, context: nova_context.RequestContext,
              image_meta: objects.ImageMeta) -> bool:
        """Fetch an image that no instance asks for yet.

        :returns: whether it had to be fetched
        :raises nova.exception.ImageUnacceptable: as :meth:`ensure`
        """
        return self._obtain(context, image_meta, None, names.image_reference(
            image_meta.id, _demands(None)))

    def _obtain(self, context: nova_context.RequestContext,
                image_meta: objects.ImageMeta,
                instance: objects.Instance | None, reference: str,
                sha256: str | None = None) -> bool:
        """Fetch an image unless it is there; tell which.

        Calls for the same image that come while it is fetched share the
        outcome. A failure is not remembered.
        """
        with self._lock:
            fetching = self._fetching.get(reference)
            outcome = fetching or futures.Future()
            self._fetching[reference] = outcome
        if fetching:
            return fetching.result()
        try:
            absent = not self.touch(reference)
            if absent:
                self._fetch(context, instance, image_meta, reference, sha256)
                # Loading alone leaves it without a time.
                self.touch(reference)
            outcome.set_result(absent)
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            with self._lock:
                del self._fetching[reference]
        return outcome.result()

    def properties(self, context: nova_context.RequestContext,
                   image_id: str) -> dict[str, str]:
        """Return an image's properties as an instance's system metadata."""
        found = self._image_api.get(context, image_id)['properties']
        return {f'{utils.SM_IMAGE_PROP_PREFIX}{key}': value
                for key, value in found.items()}

    def touch(self, reference: str) -> bool:
        """Note that an image is wanted; tell whether the engine has it.

        The engine keeps the time of an image's last tagging: to give it the
        name that it has is what touch(1) is to a file.
        """
        try:
            with self._touching:
                self._engine.tag_image(reference, reference)
        except errors.EngineNotFound:
            return False
        return True

    def remove_idle(self, reference: str, since: datetime.datetime) -> bool:
        """Remove an image unless it was wanted after a time.

        :returns: whether it was removed
        :raises nova_docker.errors.EngineConflict: while a container uses it
        """
        # Nobody may come to want it between the look and the removal.
        with self._touching:
            try:
                found = self._engine.image(reference)['Metadata']
            except errors.EngineNotFound:
                return False
            wanted = timeutils.parse_isotime(found['LastTagTime'])
            if wanted.year == 1:
                # It was loaded, and not touched yet: from now on it ages.
                self._engine.tag_image(reference, reference)
                return False
            if wanted > since:
                return False
            self._engine.remove_image(reference)
        return True

    def _fetch(self, context: nova_context.RequestContext,
               instance: objects.Instance | None,
               image_meta: objects.ImageMeta, reference: str,
               sha256: str | None) -> None:
        LOG.info('Fetching image %s', image_meta.id, instance=instance)
        timeout = CONF.docker.stream_timeout
        start = (functools.partial(download.promised, context, image_meta.id,
                                   sha256, timeout) if sha256 else
                 functools.partial(download.signed, self._image_api, context,
                                   image_meta.id,
                                   instance and instance.trusted_certs,
                                   timeout))
        try:
            bring = (self._load if _checked_format(image_meta) == 'docker'
                     else self._import)
            bring(start, reference)
        except limits.Unacceptable as error:
            raise exception.ImageUnacceptable(
                image_id=image_meta.id, reason=error.reason) from error
        except cryptography_exceptions.InvalidSignature as error:
            raise exception.ImageUnacceptable(
                image_id=image_meta.id, reason='its signature is not that of '
                'its content') from error

    def _load(self, start: _Start, reference: str) -> None:
        if sharing.checks_layers(self._engine):
            with contextlib.suppress(sharing.Unproven):
                self._sanitise(start, reference, hashed=False)
                return
        self._sanitise(start, reference, hashed=True)

    def _sanitise(self, start: _Start, reference: str, hashed: bool) -> None:
        with self._layers.load(hashed) as admit, start() as chunks:
            stream = archive.sanitised(
                chunks, reference, architectures=architectures(),
                limit=CONF.docker.image_max_size * _GIB, hashed=hashed,
                admit=admit)
            with all_or_nothing(self._engine, stream, reference) as source:
                self._engine.load_image(source)

    def _import(self, start: _Start, reference: str) -> None:
        with start() as chunks:
            stream = rootfs.checked(
                chunks, limit=CONF.docker.image_max_size * _GIB)
            with all_or_nothing(self._engine, stream, reference) as source:
                self._engine.import_image(source, reference, ROOTFS_CHANGES)


@contextlib.contextmanager
def all_or_nothing(engine: client.Engine, stream: Iterator[bytes],
                   reference: str) -> Iterator[Iterator[bytes]]:
    """Give a stream to the engine, which keeps nothing if that fails.

    :param reference: the tag under which the engine takes it, as a new one
    :raises Unacceptable: when the engine does not take what is in it
    """
    source = _Source(stream)
    try:
        yield iter(source)
    except BaseException as error:
        with contextlib.suppress(errors.EngineError):
            engine.remove_image(reference)
        if source.failure:
            raise source.failure from None
        if (isinstance(error, errors.EngineError)
                and not isinstance(error, errors.EngineUnavailable)):
            raise limits.Unacceptable(
                'Docker Engine does not take it: '
                + limits.printable(error.message)) from error
        raise


def _demands(instance: objects.Instance | None) -> list[str]:
    """Return what an image has to be verified against, in any words."""
    trusted = instance and instance.trusted_certs
    return [*(['signature'] if CONF.glance.verify_glance_signatures else []),
            *(trusted.ids if trusted else [])]


def _checked_format(image_meta: objects.ImageMeta) -> str:
    container_format = _field(image_meta, 'container_format')
    if container_format not in ('docker', 'bare'):
        raise limits.Unacceptable(
            f'its container format is "{container_format}", and a container '
            'image has "docker", or "bare" for the tar archive of a root file '
            'system')
    disk_format = _field(image_meta, 'disk_format')
    if disk_format != 'raw':
        raise limits.Unacceptable(
            f'its disk format is "{disk_format}", and a container image has '
            '"raw"')
    return container_format


def _field(image_meta: objects.ImageMeta, name: str) -> str:
    return (str(getattr(image_meta, name))
            if image_meta.obj_attr_is_set(name) else '')
