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

"""Which layers the engine checks itself, and which it takes unseen.

The engine compares a layer that it unpacks with its digest, so that hashing
all layers here as well would only take time. But a layer that it has already,
it takes from its own store without a look at the bytes given for it: then an
archive could name a layer of another tenant's image, and bring nothing.

It has a layer as soon as that is unpacked, and tells of it once the image is
complete. So loads are also held against each other. One whose layers are not
hashed is alone with them from the moment it is found to bring them itself.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools
import threading

from nova_docker.engine import client
from nova_docker.engine import facts
from nova_docker import errors


def checks_layers(engine: client.Engine) -> bool:
    """Tell if an engine refuses a layer that does not match its digest.

    The containerd image store only logs it.
    """
    return not facts.has_containerd_store(engine.info())


class Unproven(Exception):
    """Nothing shows that the archive has all that its image needs."""


class _Load:
    """One image on its way into the engine.

    :param hashed: its layers are what they are said to be
    """

    def __init__(self, hashed: bool) -> None:
        self.hashed = hashed
        self.digests: frozenset[str] = frozenset()
        self.ended = threading.Event()


class Layers:
    """Knows the layers that an engine has, and those that it is given.

    Each image is looked at once: its id is the digest of what it is.
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine
        self._known: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._loads: list[_Load] = []

    @contextlib.contextmanager
    def load(self, hashed: bool) -> Iterator[Callable[[Sequence[str]], None]]:
        """Let the engine load an image; it has to be through at the end.

        :param hashed: its layers are hashed on their way
        :returns: what is to be called with the layers' digests before the
            engine learns them. It may wait for other loads, and raises
            :class:`Unproven` if layers that are not hashed have to be.
        """
        load = _Load(hashed)
        try:
            yield functools.partial(self._admit, load)
        finally:
            with self._lock:
                self._loads = [each for each in self._loads
                               if each is not load]
            load.ended.set()

    def _admit(self, load: _Load, digests: Sequence[str]) -> None:
        others = self._enter(load, frozenset(digests))
        if not load.hashed:
            if others or self.has_any(digests):
                raise Unproven
            return
        # They would take from this one what they do not have. None of them
        # waits for any other, and none comes after this has entered.
        for other in others:
            if not other.hashed:
                other.ended.wait()

    def _enter(self, load: _Load, digests: frozenset[str]) -> list[_Load]:
        """Return the loads before this one that have a layer in common."""
        load.digests = digests
        with self._lock:
            others = [each for each in self._loads
                      if not each.digests.isdisjoint(digests)]
            self._loads.append(load)
        return others

    def has_any(self, digests: Iterable[str]) -> bool:
        """Tell if the engine may have one of these layers already.

        In an image, with a name or without one: it has lost its own to
        another, or a build made it on its way. Or below a container, which
        keeps the layers of an image that was removed by force. Nobody can
        tell which these are, so that it may be any.
        """
        known: dict[str, frozenset[str]] = {}
        for image in self._engine.all_images():
            with contextlib.suppress(errors.EngineNotFound):
                known[image['Id']] = self._of(image['Id'])
        self._known = known
        # Not before the images: one that goes meanwhile is missed by none.
        if any(container['ImageID'] not in known
               for container in self._engine.containers([])):
            return True
        return not frozenset().union(*known.values()).isdisjoint(digests)

    def _of(self, image: str) -> frozenset[str]:
        try:
            return self._known[image]
        except KeyError:
            found = self._engine.image(image)['RootFS'].get('Layers') or ()
            return frozenset(found)
