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

"""What an engine's answer to ``GET /info`` means."""

from nova_docker.engine import calls

#: Where containerd listens, and keeps what it has, as its packages have it.
_CONTAINERD_SOCKET = 'run/containerd/containerd.sock'
_CONTAINERD_ROOT = '/var/lib/containerd'


def driver_status(info: calls.Document) -> dict[str, str]:
    """Return what the storage driver says of itself."""
    return dict(info.get('DriverStatus') or [])


def has_containerd_store(info: calls.Document) -> bool:
    """Whether containerd has the images and root disks, not the engine.

    New engines begin so.
    https://docs.docker.com/engine/storage/containerd/
    """
    return 'containerd' in driver_status(info).get('driver-type', '')


def root_disks(info: calls.Document) -> str:
    """Return a directory above those of images and root disks.

    An engine that starts a containerd of its own keeps that one's data with
    its own; where the host's has them it does not know.
    """
    # Only newer ones tell.
    address = (info.get('Containerd') or {}).get(
        'Address', f'/{_CONTAINERD_SOCKET}')
    if (has_containerd_store(info) and
            address.endswith(f'/{_CONTAINERD_SOCKET}')):
        return _CONTAINERD_ROOT
    return str(info['DockerRootDir'])
