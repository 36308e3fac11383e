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

"""The root disk of a stopped container that the engine keeps unmounted."""

import os
import re

from oslo_concurrency import processutils

from nova_docker import privsep
from nova_docker.privsep import checks

#: Where below its own directory the engine keeps them, by storage driver.
DRIVERS = {'btrfs': 'btrfs/subvolumes', 'vfs': 'vfs/dir'}

_ID = re.compile(r'[0-9a-f]{64}')


@privsep.storage_pctxt.entrypoint
def mount(data_root: str, driver: str, container_id: str,
          target: str) -> None:
    """Show the root disk of a container of one of :data:`DRIVERS`.

    Each is a directory, or a subvolume. The engine tells its name only in
    a file of its own.

    :param data_root: the engine's directory
    :param target: an empty directory
    :raises OSError: the container is not there
    :raises oslo_concurrency.processutils.ProcessExecutionError: the kernel
        refuses
    """
    root = checks.plain_path(data_root)
    known = os.path.join(root, 'image', driver, 'layerdb/mounts',
                         _checked(container_id), 'mount-id')
    with open(known, encoding='ascii') as file:
        name = _checked(file.read().strip())
    source = checks.plain_path(os.path.join(root, DRIVERS[driver], name))
    processutils.execute('mount', '--bind', source,
                         checks.plain_path(target))
    try:
        processutils.execute('mount', '-o', 'remount,bind,nodev', target)
    except processutils.ProcessExecutionError:
        processutils.execute('umount', target)
        raise


def _checked(identity: str) -> str:
    if not _ID.fullmatch(identity):
        raise ValueError(f"not the engine's name of anything: {identity!r}")
    return identity
