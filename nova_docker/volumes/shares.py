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

"""Manila's shares in instances."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import TypeAlias

from nova import context as nova_context
from nova import exception
from nova.objects import fields
from nova.objects import share_mapping
from oslo_concurrency import processutils

from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.volumes import propagate

#: File system type, source and options of a mount.
Arguments: TypeAlias = tuple[str, str, list[str]]


def _nfs(share: share_mapping.ShareMapping) -> Arguments:
    location = share.export_location
    # A location that leads out of an export again is not below it.
    is_plain = '..' not in location.split('/')
    if is_plain and any(location.startswith(f'{root.rstrip("/")}/')
                        for root in CONF.docker.local_exports):
        return 'bind', location.partition(':')[2], []
    return 'nfs', location, _split(CONF.docker.nfs_mount_options)


def _cephfs(share: share_mapping.ShareMapping) -> Arguments:
    options = _split(CONF.docker.ceph_mount_options)
    if 'access_to' in share and share.access_to is not None:
        options += [f'name={share.access_to}', f'secret={share.access_key}']
    return 'ceph', share.export_location, options


def _split(options: str | None) -> list[str]:
    return options.split(',') if options else []


#: How a share of each protocol is mounted.
PROTOCOLS: Mapping[str, Callable[[share_mapping.ShareMapping], Arguments]] = {
    fields.ShareMappingProto.NFS: _nfs,
    fields.ShareMappingProto.CEPHFS: _cephfs,
}


class Shares:
    """Mounts shares at ``/shares/<tag>`` of instances.

    An instance has mounts of its own, so that nobody has to know who else
    uses a share.

    :param points: where they are mounted
    """

    def __init__(self, points: propagate.Propagation) -> None:
        self._points = points

    def mount(self, share: share_mapping.ShareMapping) -> None:
        """Mount a share; one that is mounted stays so.

        :raises ShareProtocolNotSupported: if it is neither NFS nor CephFS
        :raises ShareMountError: with the reason
        """
        try:
            arguments = PROTOCOLS[share.share_proto]
        except KeyError as error:
            raise exception.ShareProtocolNotSupported(
                share_proto=share.share_proto) from error
        try:
            self._points.mount(share.instance_uuid, propagate.Kind.SHARES,
                               share.tag, *arguments(share))
        except (OSError, ValueError,
                processutils.ProcessExecutionError) as error:
            raise exception.ShareMountError(
                share_id=share.share_id, server_id=share.instance_uuid,
                reason=errors.output(error)) from error

    def unmount(self, share: share_mapping.ShareMapping) -> bool:
        """Unmount a share, which may be gone.

        :returns: False, since no other instance uses this mount
        :raises ShareUmountError: with the reason
        """
        try:
            self._points.unmount(share.instance_uuid,
                                 propagate.Kind.SHARES, share.tag)
        except (OSError, ValueError) as error:
            raise exception.ShareUmountError(
                share_id=share.share_id, server_id=share.instance_uuid,
                reason=errors.output(error)) from error
        return False

    def is_mounted(self, share: share_mapping.ShareMapping) -> bool:
        """Whether any instance of this host has the share mounted."""
        mappings = share_mapping.ShareMappingList.get_by_share_id(
            nova_context.get_admin_context(), share.share_id)
        return any(self._points.is_mounted(
            each.instance_uuid, propagate.Kind.SHARES, each.tag)
            for each in mappings)
