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

"""The ``[docker]`` options."""

from collections.abc import Sequence

import nova.conf
from oslo_config import cfg

CONF = nova.conf.CONF

group = cfg.OptGroup(
    'docker', title='Docker driver',
    help='Used when ``compute_driver = docker.DockerDriver``: this host runs '
         'its instances as containers on a Docker Engine.')

options: list[cfg.Opt] = [
    cfg.StrOpt(
        'url', default='unix:///var/run/docker.sock', regex=r'^unix:///.+',
        help="""
The unix socket on which the Docker Engine listens, as ``unix://`` and an
absolute path. nova-compute's user must be allowed to open it: on most systems
that is membership of the group ``docker``.
"""),
    cfg.IntOpt(
        'api_timeout', default=60, min=1,
        help="""
Seconds that one call to the engine may take. Streams of images and events are
not meant: see ``stream_timeout``.
"""),
    cfg.IntOpt(
        'stream_timeout', default=600, min=1,
        help="""
Seconds that the engine may stay silent while an image is loaded, committed or
saved, or a container removed. An engine that checks or packs a large image, or
removes millions of files, says nothing for a while.
"""),
    cfg.StrOpt(
        'data_path', regex='^/',
        help="""
The directory in which the engine keeps images and root disks. The host's
``DISK_GB`` is the size of its file system, and the limits ``quota:disk_*`` of
flavors are those of its disk. By default it is the engine's own directory, or
``/var/lib/containerd`` where the engine has the containerd image store: set
it where containerd's configuration has another ``root``.
"""),
    cfg.StrOpt(
        'sandbox_image',
        help="""
An engine image for the container that owns an instance's network namespace.
Its main process must do nothing and end on no signal but SIGKILL. By default
the driver makes an image of a few hundred bytes itself.
"""),
    cfg.StrOpt(
        'lxcfs', default='auto', choices=[
            ('auto', 'use LXCFS where it is mounted at ``lxcfs_path``'),
            ('required', 'do not start nova-compute without LXCFS'),
            ('off', "show the host's /proc/cpuinfo, meminfo and so on")],
        help="""
Whether a container sees its own CPUs, memory, load and uptime in /proc,
through LXCFS, instead of the host's.

Related options: ``lxcfs_path``.
"""),
    cfg.StrOpt(
        'lxcfs_path', default='/var/lib/lxcfs',
        help='The directory at which LXCFS is mounted on this host.'),
    cfg.StrOpt(
        'tx_checksum_offload', default='auto', choices=[
            ('auto', 'off on a userspace Open vSwitch datapath without TSO '
                     'support, on elsewhere'),
            ('on', 'the kernel leaves checksums to the datapath'),
            ('off', 'the kernel computes every checksum')],
        help="""
Transmit checksum and segmentation offload of a container's interfaces. A
userspace datapath without ``userspace-tso-enable`` drops what has no checksum
yet, so TCP does not pass there with offload on.
"""),
    cfg.IntOpt(
        'pids_limit', default=4096, min=0,
        help="""
Processes and threads that a container may have at a time. 0 is no limit. The
flavor key ``docker:pids_limit`` wins over it.
"""),
    cfg.IntOpt(
        'console_log_max_size', default=10, min=1,
        help="""
MiB of console log that the engine keeps for each container; what is older is
dropped.
"""),
    cfg.IntOpt(
        'console_output_max_size', default=100, min=1,
        help="""
KiB of console output that one request (``openstack console log show``)
returns at most, counted from the end.
"""),
    cfg.StrOpt(
        'suspend_method', default='freeze', choices=[
            ('freeze', 'the processes stop where they are, and keep their '
                       'memory'),
            ('checkpoint', 'the processes are written to disk, which frees '
                           'their memory and survives a reboot of the host')],
        help="""
How ``openstack server suspend`` suspends a container. ``checkpoint`` needs an
engine with its experimental features on, and CRIU. nova-compute tries it when
it starts, and freezes containers, with a warning in its log, where that fails.
Containers with a volume, a share or an ephemeral disk are frozen all the same.
Memory written to disk is as readable to the host's root as the memory was.
"""),
    cfg.StrOpt(
        'mounts_path', default='$state_path/mounts',
        help="""
The directory below which Cinder's volumes and Manila's shares are mounted for
the instances of this host. nova-compute's user must be able to make
directories in it, and the engine must see it at the same path.
"""),
    cfg.StrOpt(
        'nfs_mount_options',
        help='Options with which shares of NFS are mounted, separated by '
             'commas. ``nosuid`` and ``nodev`` always come last.'),
    cfg.ListOpt(
        'local_exports', default=[], help="""
NFS exports that are directories of this host, as ``SERVER:/DIRECTORY``: a
share whose export location is below one of them is that directory, and is
bound instead of mounted by NFS. For a host that exports the shares
itself, since NFS from a host to itself may stop for ever when memory is
short, and for a cluster file system that each host has at the same path.
Manila's access rules are not asked there.
"""),
    cfg.StrOpt(
        'ceph_mount_options',
        help='Options with which shares of CephFS are mounted, separated by '
             'commas. ``nosuid`` and ``nodev`` always come last.'),
    cfg.StrOpt(
        'volume_filesystem', default='ext4', choices=[
            ('ext4', 'made by ``mkfs.ext4``'),
            ('xfs', 'made by ``mkfs.xfs``, of the package xfsprogs')],
        help="""
The file system that a blank volume gets when it is attached for the first
time. A volume that has one keeps it.
"""),
    cfg.StrOpt(
        'volume_mount_options', default='nosuid,nodev',
        help="""
Options with which volumes are mounted, separated by commas. Without
``nosuid`` and ``nodev`` whoever can write a volume's blocks elsewhere can
bring programs and devices with any privileges into a container. File systems
of type ext2, ext3 and ext4 have ``errors=remount-ro`` unless this says
otherwise: they could ask the kernel to panic.
"""),
    cfg.StrOpt(
        'root_volume_mount_options', default='nodev',
        help="""
Options with which a volume is mounted that is the root disk of a server,
separated by commas. With ``nosuid`` no program of the server, as sudo, can
raise privileges. Without ``nodev`` whoever can write the volume's blocks
elsewhere can bring devices into a container. Volumes for data have
``volume_mount_options``.
"""),
    cfg.BoolOpt(
        'volume_only_formatted_here', default=False,
        help="""
Refuse volumes whose file system was not made by this driver on this very
volume: those made from an image, a snapshot or another volume, and those
that a virtual machine has formatted. A file system that somebody has made up
reaches the kernel of the host when it is mounted. Blank volumes are always
taken.
"""),
    cfg.IntOpt(
        'volume_detach_timeout', default=10, min=0,
        help="""
Seconds that a volume to be detached may still be in use. After that the
request is refused, and names the process that has a file open.
"""),
    cfg.BoolOpt(
        'volume_use_multipath', default=False,
        help='Connect volumes through every path that the storage has. '
             'multipathd must run on this host.'),
    cfg.IntOpt(
        'image_max_size', default=100, min=1,
        help="""
GiB that one image may unpack to on its way from Glance into the engine. A
larger one is refused, so that a small compressed archive can't fill the disk.
"""),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options; can be done again."""
    conf.register_group(group)
    conf.register_opts(options, group=group)


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """Tell oslo-config-generator what there is."""
    return [(group, options)]


register_opts(CONF)
