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

"""Names and labels of what the driver owns in the engine.

The engine is the database: whatever must be found again is in a container's
name or labels, and a container without our label is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import enum
import hashlib
import re
from typing import Any

from nova import objects

#: Every label of ours begins like this.
LABEL_PREFIX = 'org.openstack.nova.'
UUID = LABEL_PREFIX + 'uuid'
NAME = LABEL_PREFIX + 'name'
ROLE = LABEL_PREFIX + 'role'
PROJECT = LABEL_PREFIX + 'project'
IMAGE = LABEL_PREFIX + 'image'
#: What it was made with: a resize without a restart can't change a label.
FLAVOR = LABEL_PREFIX + 'flavor'
VERSION = LABEL_PREFIX + 'version'
#: The working directory of a workload whose root is a volume.
WORKDIR = LABEL_PREFIX + 'workdir'
#: What the labels mean may change; this says which meaning they have.
FORMAT = '1'

#: The engine image of the sandbox, built by the driver.
SANDBOX_IMAGE = 'nova-docker/sandbox:1'
#: What workloads whose root is a volume start from, built likewise.
GATE_IMAGE = 'nova-docker/gate:1'

#: Names of engine images that only the driver gives, with Docker Hub's address
#: or without it: the engine drops that.
_OWN = re.compile(r'(?:(?:index\.)?docker\.io/)?nova-docker/.*')
_IMAGES = 'nova-docker/image'
_UUID = r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
_WORKLOAD = re.compile(f'nova-({_UUID})')


class Role(enum.StrEnum):
    """What a container or a volume of the engine is for."""

    WORKLOAD = 'workload'
    SANDBOX = 'sandbox'
    CONFIG = 'config'
    UNPACKING = 'unpacking'
    ATTEMPT = 'attempt'


def workload(uuid: str) -> str:
    """Return the name of the container that runs the instance's image."""
    return f'nova-{uuid}'


def sandbox(uuid: str) -> str:
    """Return the name of the container that owns the network namespace."""
    return f'nova-{uuid}-sandbox'


def aside(uuid: str) -> str:
    """Return the name of a workload that another stands in for."""
    return f'nova-{uuid}-aside'


def config_drive(uuid: str) -> str:
    """Return the name of the container through which a drive is filled."""
    return f'nova-{uuid}-config'


def successor(uuid: str) -> str:
    """Return the name of a container that is about to be the workload."""
    return f'nova-{uuid}-new'


def unpacked(uuid: str) -> str:
    """Return the name of a container of the image that a volume gets."""
    return f'nova-{uuid}-image'


def root(uuid: str) -> str:
    """Return the name of the container through which a volume gets it."""
    return f'nova-{uuid}-root'


def trial() -> str:
    """Return the name of the container that checkpoints are tried on."""
    return 'nova-docker-trial'


def attempt(uuid: str) -> str:
    """Return the name of the container that a flavor is tried with."""
    return f'nova-{uuid}-attempt'


def instance_uuid(container_name: str) -> str | None:
    """Return the instance's uuid for a workload's name, else None."""
    match = _WORKLOAD.fullmatch(container_name)
    return match and match.group(1)


def is_workload(container_name: str) -> bool:
    """Whether it is a workload's name, and not of one set aside.

    :param container_name: with or without the engine's slash before it
    """
    return instance_uuid(container_name.lstrip('/')) is not None


def image_reference(image_id: str, demands: Iterable[str] = ()) -> str:
    """Return the engine's name for a Glance image.

    :param demands: what it was verified against on its way; an image that
        was verified has a name of its own, so that nobody who demands it
        gets a copy that was not. Tenants choose them, so that nothing of
        their digest can be left out.
    """
    words = '\n'.join(sorted(demands))
    digest = hashlib.sha256(words.encode()).hexdigest()
    return f'{_IMAGES}:{image_id}' + (f'-{digest}' if words else '')


def is_image(reference: str) -> bool:
    """Tell if an engine's name is one that the driver gives Glance images."""
    return reference.startswith(f'{_IMAGES}:')


def is_own(reference: str) -> bool:
    """Tell if an engine's name of an image is one that only the driver gives.

    Servers, and what stands beside them, start from what has such a name.
    """
    return _OWN.fullmatch(reference) is not None


def snapshot_reference(image_id: str) -> str:
    """Return the engine's name for a snapshot on its way to Glance."""
    return f'nova-docker/snapshot:{image_id}'


def disk_reference(uuid: str, which: str) -> str:
    """Return the engine's name for a root disk that moves to a new container.

    :param which: tells those of one instance apart, or ``*`` for all
    """
    return f'nova-docker/disk:{uuid}-{which}'


def labels(instance: objects.Instance, role: Role) -> dict[str, str]:
    """Return the labels of one of an instance's containers."""
    return {
        UUID: instance.uuid,
        NAME: instance.name,
        ROLE: role.value,
        PROJECT: instance.project_id or '',
        IMAGE: instance.image_ref or '',
        FLAVOR: instance.flavor.name,
        VERSION: FORMAT,
    }


def uuid_of(document: Mapping[str, Any]) -> str | None:
    """Return the instance's uuid from a listed container or an event.

    :param document: a row of the container list, or an event's ``Actor``
    """
    found = document.get('Labels') or document.get('Attributes') or {}
    return found.get(UUID)
