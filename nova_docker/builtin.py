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

"""Engine images of a few hundred bytes, which the driver builds itself."""

from __future__ import annotations

import hashlib
import threading

from oslo_log import log as logging

from nova_docker import elf
from nova_docker.engine import client
from nova_docker import errors

LOG = logging.getLogger(__name__)


class Image:
    """An engine image of one program, under a name of the driver's.

    Any other image with that name loses it: servers start from this one.

    :param engine: where it is
    :param reference: its name
    :param program: the path of its program
    :param pipes: paths of pipes that it has beside it
    """

    def __init__(self, engine: client.Engine, reference: str, program: str,
                 *pipes: str) -> None:
        self._engine = engine
        self._reference = reference
        self._program = program
        self._pipes = pipes
        self._building = threading.Lock()

    def ensure(self, executable: bytes) -> str:
        """Make sure that the image is there and return its name.

        :param executable: the program
        """
        archive = elf.archive(
            {self._program.lstrip('/'): executable},
            [pipe.lstrip('/') for pipe in self._pipes])
        # No lock for the look: none may wait behind another for an engine
        # that hangs.
        if not self._is_there(archive):
            with self._building:
                if not self._is_there(archive):
                    self._build(archive)
        return self._reference

    def _is_there(self, archive: bytes) -> bool:
        """Tell if what has the name is made of this archive."""
        try:
            found = self._engine.image(self._reference)
        except errors.EngineNotFound:
            return False
        # The image's own digest is of the time when it was built, too.
        layer = f'sha256:{hashlib.sha256(archive).hexdigest()}'
        return (found['RootFS'].get('Layers') == [layer] and
                found['Config'].get('Entrypoint') == [self._program])

    def _build(self, archive: bytes) -> None:
        LOG.info('Building %s: the engine has none, or another one',
                 self._reference)
        self._engine.import_image(
            [archive], self._reference,
            changes=[f'ENTRYPOINT ["{self._program}"]'])
