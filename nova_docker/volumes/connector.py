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

"""From what Cinder says of a volume to a device of this host: os-brick."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import os
from typing import Any

from castellan import key_manager
from nova import exception
from os_brick import encryptors
from os_brick import exception as brick_exception
from os_brick.initiator import connector

from nova import utils
from nova_docker.conf import CONF

Document = dict[str, Any]


def properties() -> Document:
    """Return what Cinder needs to know to export a volume to this host."""
    found: Document = connector.get_connector_properties(
        utils.get_root_helper(), CONF.my_block_storage_ip,
        CONF.docker.volume_use_multipath, enforce_multipath=True,
        host=CONF.host)
    return found


def check(connection: Mapping[str, Any]) -> None:
    """See that os-brick knows this kind of volume.

    :raises InvalidVolume: if it does not
    """
    _connector(connection)


def connect(connection: Mapping[str, Any]) -> Document:
    """Connect a volume; one that is connected stays so.

    :param connection: Nova's ``connection_info``
    :returns: what os-brick says of it: ``path`` is a block device, or a file
        on a share that is mounted
    """
    found: Document = _connector(connection).connect_volume(
        dict(connection['data']))
    return found


def disconnect(connection: Mapping[str, Any], found: Mapping[str, Any],
               force: bool = False) -> None:
    """Undo :func:`connect`; the volume may be gone already.

    :param found: what that returned
    :param force: also when what was written can't be flushed any more
    """
    _connector(connection).disconnect_volume(
        dict(connection['data']), dict(found) or None, force=force,
        ignore_errors=force)


def extend(connection: Mapping[str, Any]) -> int:
    """Let this host see that a connected volume has grown.

    :returns: its size in bytes
    :raises ExtendVolumeNotSupported: its kind can't
    """
    try:
        size = _connector(connection).extend_volume(dict(connection['data']))
    except NotImplementedError as error:
        raise exception.ExtendVolumeNotSupported() from error
    return int(size or 0)


def is_luks(encryption: Mapping[str, Any]) -> bool:
    """Tell whether an encrypted volume has a header of LUKS.

    Its provider is a format, or one of the classes of former times.
    """
    return 'luks' in str(encryption.get('provider')).lower()


def decrypt(context: Any, link: str, path: str,
            encryption: Mapping[str, Any]) -> str:
    """Return the device that shows what is in an encrypted one.

    :param link: where to have a link to it. os-brick turns the path that it
        is given into a link, and the device's own must not become one.
    """
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(path, link)
    encryptor = _encryptor(link, encryption)
    try:
        encryptor.attach_volume(context, **encryption)
    except Exception:
        # Where there is nothing to open it with, there is nothing to close
        # it with.
        with contextlib.suppress(Exception):
            encryptor.detach_volume(**encryption)
        os.unlink(link)
        raise
    return os.path.realpath(link)


def extend_decrypted(context: Any, link: str,
                     encryption: Mapping[str, Any]) -> None:
    """Let what :func:`decrypt` returned grow with what is encrypted."""
    _encryptor(link, encryption).extend_volume(context, **encryption)


def close(link: str, encryption: Mapping[str, Any]) -> None:
    """Undo :func:`decrypt`; can be run again."""
    if is_open(link):
        _encryptor(link, encryption).detach_volume(**encryption)
        os.unlink(link)


def is_open(link: str) -> bool:
    """Tell whether :func:`decrypt` has not been undone."""
    return os.path.lexists(link)


def _encryptor(link: str, encryption: Mapping[str, Any]) -> Any:
    return encryptors.get_volume_encryptor(
        root_helper=utils.get_root_helper(), keymgr=key_manager.API(CONF),
        connection_info={'data': {'device_path': link}}, **encryption)


def is_on_share(path: str) -> bool:
    """Tell whether a volume is a file on a share, without a look at it.

    That of a server which is away would hang.

    :param path: as :func:`connect` has it
    """
    return path.startswith(f'{shares()}/')


def shares() -> str:
    """Return where os-brick mounts shares."""
    return os.path.join(CONF.state_path, 'mnt')


def _connector(connection: Mapping[str, Any]) -> Any:
    kind = connection['driver_volume_type']
    try:
        return connector.InitiatorConnector.factory(
            kind, utils.get_root_helper(),
            use_multipath=CONF.docker.volume_use_multipath,
            # Of RBD the kernel's device, not a handle of a library.
            do_local_attach=True,
            conn={**connection['data'], 'mount_point_base': shares()})
    except brick_exception.InvalidConnectorProtocol as error:
        raise exception.InvalidVolume(
            reason=f'volumes of type {kind} can not be connected: os-brick '
                   'does not know it.') from error
