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

"""How much room the file system of a running container needs in an archive."""

from __future__ import annotations

from typing import Final

from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.privsep import trees

LOG = logging.getLogger(__name__)

#: Bytes for files that grow meanwhile, or have attributes: some anyway, and
#: one in so many of those there are, within bounds.
_SOME: Final = 256 * 1024
_SHARE: Final = 256
_MOST: Final = 8 * 1024 ** 2
_BLOCK: Final = 512


def needed(engine: client.Engine, container: str) -> int | None:
    """Return bytes that most likely are enough, and little more than enough.

    To learn it exactly, the engine would have to read every file. Here only
    names and sizes are looked at.

    :returns: None if it does not run, or there is too much to look at
    """
    try:
        pid = engine.container(container)['State']['Pid']
        size = trees.archived(pid) if pid else None
    except Exception as error:
        # Nothing is lost but time.
        LOG.debug('The size of %s is not known beforehand: %s', container,
                  error)
        return None
    return None if size is None else size + _margin(size)


def _margin(size: int) -> int:
    return _SOME + min(_MOST, size // _SHARE // _BLOCK * _BLOCK)
