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

"""Glance, as a user of the cloud works with it: by openstacksdk."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import hashlib
import http
import json
from typing import Any
from typing import Final
import urllib.parse
import uuid

from openstack import exceptions
from oslo_log import log as logging
import tenacity

from nova_docker.images import filters
from nova_docker.images import limits

LOG = logging.getLogger(__name__)

#: Bytes in one HTTP chunk. Glance under uWSGI answers 500 to larger ones.
_CHUNK: Final = 64 * 1024
_PIECE: Final = 1024 ** 2
_PATCH: Final = 'application/openstack-images-v2.1-json-patch'
#: What was pushed, and the hash of what Glance got of it. A snapshot of a
#: server inherits both, and has another hash.
IDENTITY: Final = 'container_image_id'
_HASH: Final = 'container_image_hash'

Image = dict[str, Any]


class ImageService:
    """Finds, sends and fetches images.

    Nothing is cached, and no image is ever held in memory.

    :param connection: openstack.connection.Connection
    """

    def __init__(self, connection: Any) -> None:
        self._api = connection.image
        self._project = connection.current_project_id

    def find(self, name: str) -> Image:
        """Return the image with an id or a name.

        :param name: also that of the engine image that was pushed
        :raises Unacceptable: if there is none, or more than one
        """
        answer = self._api.get(f'/images/{urllib.parse.quote(name, safe="")}')
        # The path of no image, as '.' is one, leads to a list of them.
        if answer.ok and 'id' in (image := answer.json()):
            return dict(image)
        found = (list(self._images(name=filters.literal(name)))
                 or list(self._images(name=filters.literal(findable(name)))))
        if len(found) != 1:
            raise limits.Unacceptable(
                f'Glance has {len(found)} images of that name: give an id'
                if found else 'Glance has no image of that name or id')
        return found[0]

    def pushed(self, name: str) -> list[Image]:
        """Return what this project has pushed under a name, best first.

        Images that are hidden, since others took their name, come last.
        """
        mine = {'owner': self._project} if self._project else {}
        return [image for hidden in ('false', 'true')
                for image in self._images(
                    name=filters.literal(name), os_hidden=hidden, **mine)
                if image['status'] == 'active' and _is_whole(image)]

    def send(self, attributes: Mapping[str, Any],
             pieces: Iterable[bytes]) -> Image:
        """Make an image; nothing of it stays if that fails.

        :param attributes: as Glance's API has them, :data:`IDENTITY` too
        :raises Unacceptable: if Glance has something else in the end
        """
        with contextlib.ExitStack() as undo:
            # With an id of ours it is found even if the answer is lost.
            image_id = str(uuid.uuid4())
            undo.callback(self._discard, image_id)
            _checked(self._api.post('/images', json={
                **attributes, 'id': image_id}))
            digest, size = hashlib.sha512(), 0

            def chunks() -> Iterator[bytes]:
                nonlocal size
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    for start in range(0, len(piece), _CHUNK):
                        yield piece[start:start + _CHUNK]
            _checked(self._api.put(
                f'/images/{image_id}/file', data=chunks(), headers={
                    'Content-Type': 'application/octet-stream',
                    'Accept': ''}))
            image = self._get(image_id)
            right = image['status'] == 'active' and image['size'] == size
            if image.get('os_hash_algo') == 'sha512':
                right = right and image['os_hash_value'] == digest.hexdigest()
            if not right:
                raise limits.Unacceptable(
                    f'Glance has not what was sent: its status is '
                    f"{image['status']}, and {image['size']} of {size} bytes "
                    'are there')
            whole = self.change(image, {_HASH: _hash(image)})
            undo.pop_all()
        return whole

    def change(self, image: Image, attributes: Mapping[str, Any]) -> Image:
        """Give attributes to an image that has others."""
        changes = [{'op': 'replace' if key in image else 'add',
                    'path': f'/{_pointer(key)}', 'value': value}
                   for key, value in attributes.items()
                   if key not in image or image[key] != value]
        if not changes:
            return image
        return dict(_checked(self._api.patch(
            f"/images/{image['id']}", data=json.dumps(changes),
            headers={'Content-Type': _PATCH})).json())

    def fetch(self, image: Image) -> Generator[bytes, None, None]:
        """Yield an image's bytes.

        :raises Unacceptable: at the end, if they are not what they should be
        """
        algorithm, expected = _expected(image)
        digest = hashlib.new(algorithm, usedforsecurity=False)
        answer = self._api.get(f"/images/{image['id']}/file", stream=True)
        with contextlib.closing(_checked(answer)):
            for piece in answer.iter_content(_PIECE):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != expected:
            raise limits.Unacceptable(
                'what came of it has another checksum: it is damaged or cut '
                'short')

    def _discard(self, image_id: str) -> None:
        try:
            self._delete(image_id)
        except Exception as error:
            # Not to hide what came first.
            LOG.warning('The image %s is left behind in Glance: %s',
                        image_id, error)

    # Glance may not have noticed yet that nobody sends any more.
    @tenacity.retry(stop=tenacity.stop_after_attempt(6),
                    wait=tenacity.wait_exponential(0.5), reraise=True)
    def _delete(self, image_id: str) -> None:
        answer = self._api.delete(f'/images/{image_id}')
        if answer.status_code != http.HTTPStatus.NOT_FOUND:
            _checked(answer)

    def _get(self, image_id: str) -> Image:
        return dict(_checked(self._api.get(f'/images/{image_id}')).json())

    def _images(self, **filters: str) -> Iterator[Image]:
        page = _checked(self._api.get('/images', params=filters)).json()
        yield from page['images']
        while 'next' in page:
            # It begins with the version, and so does the service's address.
            query = urllib.parse.urlsplit(page['next']).query
            page = _checked(self._api.get(f'/images?{query}')).json()
            yield from page['images']


def findable(name: str) -> str:
    """Return what Glance calls an engine image that is given no other name.

    Glance takes what stands before a colon for an operator when it looks for
    a name, as ``openstack image show`` has it do: a name may not have one.
    """
    return name.replace(':', '-')


def _checked(answer: Any) -> Any:
    exceptions.raise_from_response(answer)
    return answer


def _pointer(key: str) -> str:
    """Return a key as JSON pointers have it."""
    return key.replace('~', '~0').replace('/', '~1')


def _expected(image: Image) -> tuple[str, str]:
    """Return the algorithm and the value of an image's hash."""
    if image.get('os_hash_value'):
        return image['os_hash_algo'], image['os_hash_value']
    if image.get('checksum'):
        return 'md5', image['checksum']
    raise limits.Unacceptable('Glance has no data of it')


def _hash(image: Image) -> str:
    return ':'.join(_expected(image))


def _is_whole(image: Image) -> bool:
    """Tell whether an image is what was pushed, and nothing made of it."""
    return IDENTITY in image and image.get(_HASH) == _hash(image)
