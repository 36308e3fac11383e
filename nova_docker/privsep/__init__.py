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

"""The contexts in which the driver's privileged functions run."""

from oslo_config import cfg
from oslo_privsep import capabilities
from oslo_privsep import priv_context

# NET_ADMIN makes and configures links, SYS_ADMIN enters a namespace.
network_pctxt = priv_context.PrivContext(
    'nova_docker.privsep',
    cfg_section='docker_network_privileged',
    pypath=__name__ + '.network_pctxt',
    capabilities=[
        capabilities.CAP_NET_ADMIN,
        capabilities.CAP_SYS_ADMIN,
    ],
)

# SYS_ADMIN mounts. What is done in an overlay file system is done with the
# rights of who mounted it, so these are what a container's root may do with
# files: https://docs.kernel.org/filesystems/overlayfs.html#permission-model
storage_pctxt = priv_context.PrivContext(
    'nova_docker.privsep',
    cfg_section='docker_storage_privileged',
    pypath=__name__ + '.storage_pctxt',
    capabilities=[
        capabilities.CAP_CHOWN,
        capabilities.CAP_DAC_OVERRIDE,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_FOWNER,
        capabilities.CAP_FSETID,
        capabilities.CAP_MKNOD,
        capabilities.CAP_SETFCAP,
        capabilities.CAP_SYS_ADMIN,
    ],
)

# SYS_ADMIN and SYS_CHROOT enter a mount namespace and mount in it,
# SYS_PTRACE looks into a process that has capabilities which we have not.
proc_pctxt = priv_context.PrivContext(
    'nova_docker.privsep',
    cfg_section='docker_proc_privileged',
    pypath=__name__ + '.proc_pctxt',
    capabilities=[
        capabilities.CAP_SYS_ADMIN,
        capabilities.CAP_SYS_CHROOT,
        capabilities.CAP_SYS_PTRACE,
    ],
)

# SYS_ADMIN and SYS_CHROOT enter a container and put its volume in the place
# of its root; what that needs to have is made there, and what is on the volume
# looked at, whoever's its files are. What containerd leaves of checkpoints is
# found by its environment, which is read with SYS_PTRACE, and removed.
root_pctxt = priv_context.PrivContext(
    'nova_docker.privsep',
    cfg_section='docker_root_privileged',
    pypath=__name__ + '.root_pctxt',
    capabilities=[
        capabilities.CAP_DAC_OVERRIDE,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_FOWNER,
        capabilities.CAP_SYS_ADMIN,
        capabilities.CAP_SYS_CHROOT,
        capabilities.CAP_SYS_PTRACE,
    ],
)

# oslo.privsep's default is the number of CPUs. These calls wait for the
# kernel most of their time, and instances come eight at a time and more.
cfg.CONF.set_default(
    'thread_pool_size', 8, group='docker_network_privileged')
# As many as nova-compute does at a time: what takes long for one tenant must
# not keep others waiting.
cfg.CONF.set_default('thread_pool_size', 64, group='docker_root_privileged')

# SYS_ADMIN mounts, DAC_READ_SEARCH looks into what is nova-compute's alone,
# as are a container's files, of which an archive's size is told. SYS_PTRACE
# finds those, and who keeps a volume busy. Programs that are started here, as
# mkfs and resize2fs, are root's, with all that root may do.
mount_pctxt = priv_context.PrivContext(
    'nova_docker.privsep',
    cfg_section='docker_mount_privileged',
    pypath=__name__ + '.mount_pctxt',
    capabilities=[
        capabilities.CAP_SYS_ADMIN,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_SYS_PTRACE,
    ],
)

# File systems are made here, and volumes copied. As above.
cfg.CONF.set_default('thread_pool_size', 64, group='docker_mount_privileged')
