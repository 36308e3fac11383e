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

"""An engine's calls for images."""

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Sequence
import contextlib

from nova_docker.engine import calls
from nova_docker.engine import failures
from nova_docker import errors


class Images(calls.Calls):
    """What the driver asks of an engine's images."""

    @failures.checked
    def image(self, reference: str) -> calls.Document:
        """Inspect an engine image; EngineNotFound when there is none."""
        return self._calls.inspect_image(
            reference)

    @failures.checked
    def images(self, reference: str) -> list[calls.Document]:
        """List the engine images whose tag matches ``reference``."""
        return self._calls.images(
            filters={'reference': reference})

    @failures.checked
    def all_images(self) -> list[calls.Document]:
        """List every engine image, with a name or without one."""
        return self._calls.images(all=True)

    @failures.checked
    def load_image(self, chunks: Iterable[bytes]) -> None:
        """Load a ``docker save`` archive.

        :param chunks: its bytes; an error raised there aborts the load and
            reaches the caller as it is
        """
        answer = self._streams._post(
            self._streams._url('/images/load'), data=iter(chunks),
            stream=True, params={'quiet': True})
        self._streams._raise_for_status(answer)
        failures.reported(answer)

    @failures.checked
    def import_image(self, chunks: Iterable[bytes], reference: str,
                     changes: Sequence[str] = ()) -> str:
        """Make an engine image of a root file system tar.

        :returns: the engine image's id
        """
        repository, tag = reference.rsplit(':', 1)
        url = self._streams._url('/images/create')
        answer = self._streams._post(
            url, data=iter(chunks), stream=True,
            params={'fromSrc': '-', 'repo': repository, 'tag': tag,
                    'changes': list(changes)},
            headers={'Content-Type': 'application/x-tar'})
        self._streams._raise_for_status(answer)
        return str(failures.reported(answer)[-1]['status'])

    @failures.checked
    def tag_image(self, image: str, reference: str) -> None:
        """Give an engine image a further tag."""
        repository, tag = reference.rsplit(':', 1)
        self._calls.tag(image, repository, tag)

    def remove_image(self, reference: str, force: bool = False) -> None:
        """Remove a tag, and the image with its last one; absent is fine."""
        with contextlib.suppress(errors.EngineNotFound):
            self._remove_image(reference, force)

    @failures.checked
    def _remove_image(self, reference: str, force: bool) -> None:
        self._streams.remove_image(reference, force=force)

    def save_image(self, reference: str) -> Generator[bytes, None, None]:
        """Yield the ``docker save`` archive of an image."""
        with failures.classified():
            yield from self._streams.get_image(
                reference, chunk_size=calls.CHUNK)
