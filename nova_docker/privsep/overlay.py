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

"""The writable layer of a stopped container, as a file system."""

import os

from oslo_concurrency import processutils

from nova_docker import privsep
from nova_docker.privsep import checks
from nova_docker.privsep import mounttable


@privsep.storage_pctxt.entrypoint
def mount(layer: str, target: str) -> None:
    """Mount what a container of the overlay2 storage driver has as its root.

    The engine keeps a layer as a directory with ``diff``, ``work`` and the
    file ``lower``, which names the layers below it, relative to the
    directory of all layers. So the whole fits into the page that the kernel
    takes, with as many layers as the engine allows.

    :param layer: the container's directory, which the engine names
    :param target: an empty directory
    :raises OSError: the layer is not there
    :raises oslo_concurrency.processutils.ProcessExecutionError: the kernel
        refuses
    """
    layers, name = os.path.split(checks.plain_path(layer))
    with open(os.path.join(layer, 'lower'), encoding='ascii') as file:
        lower = file.read().strip()
    processutils.execute(
        'mount', '-t', 'overlay', '-o',
        f'nodev,index=off,lowerdir={lower},upperdir={name}/diff,'
        f'workdir={name}/work', f'nova-docker-{name[:12]}',
        checks.plain_path(target),
        cwd=layers,
        # The kernel's newer interface takes but 256 characters at a time.
        env_variables={**os.environ, 'LIBMOUNT_FORCE_MOUNT2': 'always'})


@privsep.storage_pctxt.entrypoint
def unmount(target: str) -> None:
    """Unmount it; who still uses it keeps it until the end.

    It may be unmounted already.
    """
    if mounttable.find(checks.plain_path(target)) is not None:
        processutils.execute('umount', '--lazy', target)
