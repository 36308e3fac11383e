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

"""What privileged functions accept: checked where the privilege is."""

from collections.abc import Sequence
import os
import re
import stat

from nova_docker.privsep import mounttable

# A letter triple by kind, then the first 11 characters of a port's UUID.
_HOST_END = re.compile(r'tap[0-9a-f-]{11}')
_INSIDE_END = re.compile(r'ndk[0-9a-f-]{11}')
_HYBRID_BRIDGE = re.compile(r'qbr[0-9a-f-]{11}')

_UUID = r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
#: What may be mounted in an instance's own directory, and nothing above it.
_MOUNT_POINT = re.compile(
    rf'/.+/{_UUID}/(volumes|shares|root)/[A-Za-z0-9][A-Za-z0-9._-]*')
_ROOT_POINT = re.compile(rf'/.+/{_UUID}/root/[A-Za-z0-9][A-Za-z0-9._-]*')
#: Where os-brick mounts a share: the name is a checksum of its address.
_SHARE = re.compile(r'/.+/mnt/[0-9a-f]{32,128}')
#: Where an engine keeps a checkpoint of a container.
_CHECKPOINT = re.compile(
    r'/.+/containers/[0-9a-f]{64}/checkpoints/[A-Za-z0-9][A-Za-z0-9._-]*')
_FILE_SYSTEMS = frozenset({'btrfs', 'ceph', 'ext2', 'ext3', 'ext4', 'gfs2',
                           'nfs', 'ocfs2', 'xfs'})
_OPTION = re.compile(r'[A-Za-z0-9_.-]+(=[A-Za-z0-9_.:/+=@-]+)?')
#: They make something else of a mount than a new one.
_OTHER_ACTS = frozenset({
    'bind', 'rbind', 'move', 'remount', 'shared', 'rshared', 'slave',
    'rslave', 'private', 'rprivate', 'unbindable', 'runbindable'})

# What LXCFS has a view of, in /proc.
_PROC_FILES = frozenset({'cpuinfo', 'diskstats', 'loadavg', 'meminfo',
                         'slabinfo', 'stat', 'swaps', 'uptime'})


def host_end(name: str) -> str:
    """Return the name if it can be an instance's device on the host."""
    return _matching(_HOST_END, name)


def instance(uuid: str) -> str:
    """Return the uuid if it can be an instance's."""
    if not re.fullmatch(_UUID, uuid):
        raise ValueError(f'not the uuid of an instance: {uuid!r}')
    return uuid


def inside_end(name: str) -> str:
    """Return the name if it can be the other end of such a device."""
    return _matching(_INSIDE_END, name)


def hybrid_bridge(name: str) -> str:
    """Return the name if it can be a bridge that os-vif made for a port."""
    return _matching(_HYBRID_BRIDGE, name)


def proc_file(name: str) -> str:
    """Return the name if it is a file of /proc that LXCFS stands in for."""
    if name not in _PROC_FILES:
        raise ValueError(f'not a file that LXCFS provides: {name!r}')
    return name


def process(pid: int) -> int:
    """Return the process id if it can be a container's."""
    if type(pid) is not int or pid <= 1:
        raise ValueError(f'not the process of a container: {pid!r}')
    return pid


def _matching(pattern: re.Pattern[str], name: str) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f'not a network device of an instance: {name!r}')
    return name


def plain_path(path: str) -> str:
    """Return an absolute path if no link and no dots are in it."""
    if not path.startswith('/') or os.path.realpath(path) != path:
        raise ValueError(f'not a plain path: {path!r}')
    return path


def mount_point(path: str) -> str:
    """Return the path if it can be a mount point of an instance.

    What is mounted there is not looked at: it may hang.
    """
    if not _MOUNT_POINT.fullmatch(path) or not _is_plain(path):
        raise ValueError(f'not a mount point of an instance: {path!r}')
    return path


def checkpoint(path: str) -> str:
    """Return the path if an engine can keep a checkpoint there."""
    if not _CHECKPOINT.fullmatch(path):
        raise ValueError(f'not the place of a checkpoint: {path!r}')
    return plain_path(path)


def share(path: str) -> str:
    """Return the path if os-brick can have mounted a share at it.

    It is not looked at: it may hang.
    """
    if not _SHARE.fullmatch(path) or '/../' in path:
        raise ValueError(f'not the place of a share of volumes: {path!r}')
    return path


def root_point(path: str) -> str:
    """Return the path if it can be where an instance's root disk is.

    What is mounted there is not looked at: it may hang.
    """
    if not _ROOT_POINT.fullmatch(path) or not _is_plain(path):
        raise ValueError(f'not the place of a root disk: {path!r}')
    return path


def _is_plain(point: str) -> bool:
    """Tell whether no link and no dots are in the path of a mount point.

    On what is mounted there is none, and the kernel's table has its path.
    """
    directory = os.path.dirname(point)
    return os.path.realpath(directory) == directory and (
        mounttable.find(point) is not None
        or os.path.realpath(point) == point)


def root_directory(path: str) -> str:
    """Return the path if it can be the root file system of such a disk."""
    root_point(os.path.dirname(path))
    if os.path.basename(plain_path(path)) != 'root':
        raise ValueError(f'not a root file system: {path!r}')
    return path


def block_device(path: str) -> str:
    """Return the path if it is a block device's own, and no link's."""
    if not stat.S_ISBLK(os.stat(plain_path(path)).st_mode):
        raise ValueError(f'not a block device: {path!r}')
    return path


def file_system(fstype: str, source: str, options: Sequence[str]) -> None:
    """Raise unless it is a new mount of a kind that instances get."""
    if fstype == 'bind' and not options:
        # A link could lead anywhere.
        plain_path(source)
        return
    if fstype not in _FILE_SYSTEMS:
        raise ValueError(f'not a file system for an instance: {fstype!r}')
    if not source or source.startswith('-'):
        raise ValueError(f'not a source of a file system: {source!r}')
    for option in options:
        if not _OPTION.fullmatch(option) or option in _OTHER_ACTS:
            # It may be a password.
            raise ValueError('not an option of a new mount: '
                             f'{option.partition("=")[0]!r}')
