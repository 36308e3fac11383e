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

"""What is on a volume: a file system, nothing, or nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any
import uuid

from oslo_concurrency import processutils

from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.privsep import filesystems

#: What is mounted as it is. The kernel's code for others is not as used to
#: content that somebody made up.
FILE_SYSTEMS = ('btrfs', 'ext2', 'ext3', 'ext4', 'gfs2', 'ocfs2', 'xfs')
_EXT = frozenset({'ext2', 'ext3', 'ext4'})
#: What several hosts may write to.
CLUSTERED = frozenset({'gfs2', 'ocfs2'})
#: Nothing is written by these, not even what the journal holds.
_READ_ONLY: Mapping[str, tuple[str, ...]] = {
    'ext3': ('ro', 'noload'), 'ext4': ('ro', 'noload'),
    'xfs': ('ro', 'norecovery'), 'btrfs': ('ro', 'rescue=nologreplay')}
_OURS = uuid.UUID('7a86c0a5-4c4f-4c0f-9c39-0c9a4f8c62d1')

#: In the words of a user, what libblkid finds by its usage and type.
_NAMES = {'crypto_LUKS': 'LUKS encryption', 'LVM2_member': 'an LVM volume',
          'linux_raid_member': 'a member of a RAID', 'swap': 'swap space',
          'swsuspend': 'a suspended machine',
          'several signatures': 'signatures of several kinds'}


@dataclasses.dataclass(frozen=True)
class Use:
    """How a volume is to be used.

    :param volume: its id
    :param read_only: nothing may be written to it
    :param shared: other servers have it, or can get it
    :param root: as the root disk of a server
    :param image: what it was made from, as Cinder describes that
    """

    volume: str
    read_only: bool
    shared: bool
    root: bool = False
    image: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def prepare(device: str, use: Use) -> str:
    """Return the type of a device's file system; a blank one gets one.

    Not a byte is written to a device that holds anything.

    :raises UnsuitableVolume: saying what it holds
    """
    fstype, found = _identified(device, use.volume)
    if use.root and (use.read_only or use.shared):
        raise errors.UnsuitableVolume(
            volume=use.volume,
            reason='it is read-only, or several servers can have it, and so '
                   'it can not be the root disk of one.')
    if use.shared and not use.read_only and fstype not in CLUSTERED:
        raise errors.UnsuitableVolume(
            volume=use.volume,
            reason='several servers can have it, so it must be read-only or '
                   'hold a cluster file system (gfs2, ocfs2).')
    if fstype is None:
        return _format(device, use)
    if (CONF.docker.volume_only_formatted_here
            and found.get('UUID') != file_system_uuid(use.volume)):
        raise errors.UnsuitableVolume(
            volume=use.volume,
            reason='its file system was made elsewhere, which [docker] '
                   'volume_only_formatted_here of this host does not allow.')
    return fstype


def check_encrypted(device: str, use: Use) -> None:
    """Refuse what os-brick would take for a volume to encrypt anew.

    It makes a header of LUKS over whatever is there.

    :raises UnsuitableVolume: it holds something else, or may not get one
    """
    found = filesystems.identify(device, file_system_uuid(use.volume))
    if found.get('TYPE') == 'crypto_LUKS':
        return
    if use.read_only or not filesystems.is_blank(device):
        raise errors.UnsuitableVolume(
            volume=use.volume,
            reason='it is of an encrypted type, but what it holds is not '
                   'encrypted with LUKS. Nothing was written to it.')


def mount_options(fstype: str, use: Use) -> list[str]:
    """Return the options with which a volume is mounted."""
    given = (CONF.docker.root_volume_mount_options if use.root
             else CONF.docker.volume_mount_options)
    found: list[str] = given.split(',') if given else []
    if fstype in _EXT:
        # It may ask for a panic of the kernel when something is wrong with it.
        found.insert(0, 'errors=remount-ro')
    if fstype == 'xfs':
        # A volume and its clone may be on one host.
        found.append('nouuid')
    if use.read_only:
        found += _READ_ONLY.get(fstype, ('ro',))
    return found


def file_system_uuid(volume: str) -> str:
    """Return the UUID of a file system that the driver makes on a volume."""
    return str(uuid.uuid5(_OURS, volume))


def _identified(device: str, volume: str
                ) -> tuple[str | None, Mapping[str, str]]:
    """Return a file system's type and what blkid says, if it is one.

    :raises UnsuitableVolume: if it is something else
    """
    found = filesystems.identify(device, file_system_uuid(volume))
    kind, table = found.get('TYPE'), found.get('PTTYPE')
    if table:
        raise _foreign(volume, f'a partition table ({table})')
    if kind is None:
        return None, found
    if found.get('USAGE') != 'filesystem' or kind not in FILE_SYSTEMS:
        raise _foreign(volume, _NAMES.get(kind) or (
            f'a file system of type {kind}'
            if found.get('USAGE') == 'filesystem' else kind))
    return kind, found


def _format(device: str, use: Use) -> str:
    if use.read_only:
        raise errors.UnsuitableVolume(
            volume=use.volume, reason='it is blank, and read-only, so that '
                                      'it can not get a file system.')
    fstype = str(CONF.docker.volume_filesystem)
    try:
        made = filesystems.make(device, fstype, file_system_uuid(use.volume),
                                _replaced(use))
    except processutils.ProcessExecutionError as error:
        raise errors.UnsuitableVolume(
            volume=use.volume,
            reason=f'mkfs.{fstype} failed: {errors.output(error)}') from error
    if not made:
        raise _foreign(use.volume, 'data of an unknown kind')
    return fstype


def _replaced(use: Use) -> filesystems.Image | None:
    """Return what a root file system may take the place of.

    Cinder writes an image on a volume as it is in Glance.
    """
    try:
        return int(use.image['size']), str(use.image['checksum'])
    except (KeyError, ValueError):
        return None


def _foreign(volume: str, what: str) -> errors.UnsuitableVolume:
    return errors.UnsuitableVolume(
        volume=volume,
        reason=f'it holds {what}. A container gets blank volumes, and file '
               f'systems of type {", ".join(FILE_SYSTEMS)}. Nothing was '
               'written to it.')
