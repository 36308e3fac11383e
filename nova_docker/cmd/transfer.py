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

"""Pushes an image to Glance, and pulls one to the engine."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import re
from typing import Any
from typing import Final
from typing import TypeAlias
import uuid

from openstack import exceptions
from oslo_log import log as logging
from oslo_utils import units

from nova_docker.cmd import contents
from nova_docker.cmd import imageservice
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import archive
from nova_docker.images import limits
from nova_docker.images import rootfs
from nova_docker.images import store
from nova_docker import names

#: Shows that pieces pass: what is done with them, and about how many bytes.
LOG = logging.getLogger(__name__)

Report: TypeAlias = Callable[[str, int, Iterable[bytes]], Iterator[bytes]]
#: Keeps an interruption back until the end, once all pieces are sent.
Hold: TypeAlias = Callable[
    [Iterable[bytes]], contextlib.AbstractContextManager[Iterator[bytes]]]

#: MiB below which an engine makes no container.
MIN_RAM: Final = 6
_REFERENCE: Final = re.compile(
    r'[a-z0-9][a-z0-9._/-]*(?::[0-9]+/[a-z0-9._/-]+)?(?P<tag>:[\w.-]{1,128})?')


def push(content: contents.Content, service: imageservice.ImageService,
         name: str, asked: Mapping[str, Any],
         report: Report) -> tuple[str, bool]:
    """Have an image in Glance under a name.

    What was pushed under that name before is hidden, so that the name means
    one image; it is there for the servers that were made of it.

    :param asked: attributes of the Glance image that its user wants
    :returns: its id, and whether it had to be sent
    """
    before = service.pushed(name)
    same = next((image for image in before if image[imageservice.IDENTITY]
                 == content.identity), None)
    if same:
        image = service.change(same, {**asked, 'os_hidden': False})
    else:
        image = service.send({**_attributes(content), 'name': name, **asked},
                             _sent(content, name, report))
    for other in before:
        if other['id'] != image['id']:
            _hide(service, other)
    return str(image['id']), same is None


def _hide(service: imageservice.ImageService,
          image: imageservice.Image) -> None:
    """Take its name from an image: what has it now is in Glance already."""
    try:
        service.change(image, {'os_hidden': True})
    except exceptions.NotFoundException:
        pass  # somebody has deleted it meanwhile
    except exceptions.SDKException as error:
        LOG.warning('The image %s keeps the name %s too, and can not be '
                    'hidden: %s', image['id'], image['name'], error)


def _attributes(content: contents.Content) -> dict[str, Any]:
    return {
        'container_format': content.container_format,
        'disk_format': 'raw',
        'hw_architecture': content.architecture,
        'img_hv_type': 'docker',
        'min_disk': contents.gib(content.unpacked),
        'min_ram': MIN_RAM,
        'visibility': 'private',
        imageservice.IDENTITY: content.identity,
    }


def _sent(content: contents.Content, name: str,
          report: Report) -> Iterator[bytes]:
    pieces = report(f'push {name}', content.size, content.pieces())
    return pieces if content.packed else contents.compressed(pieces)


def pull(engine: client.Engine, service: imageservice.ImageService,
         name: str, reference: str | None, report: Report,
         hold: Hold) -> str:
    """Have a Glance image in the engine.

    As on its way into a compute host, it is checked from end to end, and
    only its layers and its configuration get through.

    :param name: or id, of the Glance image
    :param reference: what the engine calls it; by default what is asked for
        if that has a tag, else as Glance does
    :param hold: keeps what would interrupt it until the engine is done with
        what it got, which it does not drop with its client
    :returns: what the engine calls it
    :raises Unacceptable: for what no compute host would take, and for a name
        that the engine can't give it
    """
    image = service.find(name)
    asked = reference or (name if ':' in name else image['name'] or '')
    is_users = asked in (reference, name)
    reference = tagged(asked)
    if image['status'] != 'active':
        raise limits.Unacceptable(f"its status is {image['status']}")
    with _arriving(engine) as arriving:
        with contextlib.closing(service.fetch(image)) as fetched:
            pieces = report(f'pull {name}', image['size'], fetched)
            _take(engine, image, pieces, arriving, hold)
        # Else who owns the Glance image has chosen, and may not take a name
        # from what has it.
        if not is_users:
            _refuse_taken(engine, reference, arriving)
        engine.tag_image(arriving, reference)
    return reference


@contextlib.contextmanager
def _arriving(engine: client.Engine) -> Iterator[str]:
    """Yield a name for what is on its way, which nothing has in the end."""
    reference = f'nova-docker/pull:{uuid.uuid4()}'
    try:
        yield reference
    except BaseException:
        with contextlib.suppress(errors.EngineError):
            engine.remove_image(reference)
        raise
    engine.remove_image(reference)


def _refuse_taken(engine: client.Engine, reference: str, image: str) -> None:
    """Refuse a name that the engine has for another image."""
    with contextlib.suppress(errors.EngineNotFound):
        if engine.image(reference)['Id'] != engine.image(image)['Id']:
            raise limits.Unacceptable(
                f'Glance calls it {reference!r}, and that is another image '
                'here: give a name with --as')


def _take(engine: client.Engine, image: imageservice.Image,
          pieces: Iterator[bytes], reference: str, hold: Hold) -> None:
    stream: Iterator[bytes]
    kind = image['container_format'], image['disk_format']
    if kind == ('docker', 'raw'):
        stream = archive.sanitised(
            pieces, reference, architectures=store.architectures(),
            limit=_limit())
        with store.all_or_nothing(engine, stream, reference) as source, \
                hold(source) as sent:
            engine.load_image(sent)
    elif kind == ('bare', 'raw'):
        stream = rootfs.checked(pieces, limit=_limit())
        with store.all_or_nothing(engine, stream, reference) as source, \
                hold(source) as sent:
            engine.import_image(sent, reference, store.ROOTFS_CHANGES)
    else:
        raise limits.Unacceptable(
            f'its formats are {" and ".join(kind)}: it is no container image')


def _limit() -> int:
    """Return what an image may unpack to: as much as on a compute host."""
    return int(CONF.docker.image_max_size) * units.Gi


def tagged(reference: str) -> str:
    """Return a name for an engine image with a tag, ``latest`` if need be.

    :raises Unacceptable: for what is no such name, or one of the driver's own
    """
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise limits.Unacceptable(
            f'{reference!r} is no name for an engine image: give one with '
            '--as')
    if names.is_own(reference):
        raise limits.Unacceptable(
            f'{reference!r} is a name that only the driver gives: give '
            'another one with --as')
    return reference if match['tag'] else f'{reference}:latest'
