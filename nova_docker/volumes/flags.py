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

"""What Cinder allows of a volume, which a connection does not always say."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from nova.volume import cinder
from oslo_utils import strutils

from nova.virt import block_device


@dataclasses.dataclass(frozen=True)
class Flags:
    """How a volume may be used, as long as it is attached.

    :param read_only: nothing may be written to it
    :param shared: other servers have it, or can get it
    :param image: what it was made from, as Cinder describes that
    """

    read_only: bool
    shared: bool
    image: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def volume_id(connection: Mapping[str, Any]) -> str:
    """Return the volume that a connection is of.

    The serial is Nova's, and always right. What a back end says may be
    where the volume was before it has moved.
    """
    return str(connection.get('serial')
               or block_device.get_volume_id(connection))


def ask(context: Any, connection: Mapping[str, Any]) -> Flags:
    """Return how a volume may be used.

    The connection's ``access_mode`` can be believed when it is ``ro``. In
    what an ordinary user asks for it is always ``rw``, since Cinder shows the
    flag to its administrators' requests alone there; and the attachment's
    ``attach_mode`` is ``ro`` of a volume that was read-only once. The flag
    itself is in the volume's metadata, for all to see, and does not change
    while the volume is attached.
    """
    shared = bool(connection.get('multiattach'))
    if connection['data'].get('access_mode') == 'ro':
        return Flags(read_only=True, shared=shared)
    volume = cinder.API().get(context, volume_id(connection))
    told = volume.get('volume_metadata') or {}
    return Flags(
        read_only=strutils.bool_from_string(told.get('readonly')),
        shared=shared or bool(volume.get('multiattach')),
        image=volume.get('volume_image_metadata') or {})
