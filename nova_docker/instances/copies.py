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

"""What containerd leaves of checkpoints: further copies of memory."""

from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.privsep import checkpoints

LOG = logging.getLogger(__name__)


def remove(engine: client.Engine, name: str) -> int:
    """Remove the copies of a container's checkpoint; there may be none.

    By what is in them they are known, so this comes before the checkpoint's
    own end, and not while the engine restores the container. A failure is
    logged: whoever calls this has done what counts for the user.

    :returns: how many there were
    """
    try:
        if engine.has_checkpoint(name):
            return checkpoints.remove_copies(engine.checkpoint_path(name))
    except Exception as error:
        LOG.warning('What containerd has copied of the checkpoint of '
                    'container %s can not be removed, and has the memory of '
                    'its processes. Remove ctrd-checkpoint* in the temporary '
                    'directory of containerd, but none that a resume may '
                    'still use: %s', name, error)
    return 0


def forget(engine: client.Engine, name: str) -> None:
    """Remove the checkpoint, and all copies of it; there may be none."""
    remove(engine, name)
    engine.remove_checkpoint(name)
