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

"""What a compute host needs beside its engine, looked at one by one."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import shlex
import sys
import time
from typing import Final

import nova.conf.neutron
from nova import exception
from nova import utils
from os_brick import privileged as os_brick_privsep
import os_vif
from oslo_privsep import daemon
from oslo_privsep import priv_context
from ovs import stream
from vif_plug_ovs import privsep as os_vif_privsep

from nova_docker.cmd import enginesocket
from nova_docker.cmd import outcome
from nova_docker.conf import CONF
from nova_docker.conf import options
from nova_docker import lxcfs
from nova_docker.network import datapath
from nova_docker import privsep

_DRIVER: Final = 'docker.DockerDriver'
#: Milliseconds in which a local database must take a connection.
_PATIENCE_MS: Final = 10_000
#: adjtimex(2): the status bit of a clock that nothing keeps right.
_STA_UNSYNC: Final = 0x40
#: Seconds since the epoch at the start of the year of Nova's release 34: a
#: clock before it is wrong whatever it says.
_NOT_BEFORE: Final = 1_767_225_600


def configuration() -> outcome.Result:
    """See that Nova will load this driver, with options that it can use."""
    for option in options:
        getattr(CONF.docker, option.dest)
    if CONF.compute_driver != _DRIVER:
        return outcome.bad(
            f'[DEFAULT] compute_driver is {CONF.compute_driver!r}: set it to '
            f'{_DRIVER}, or name the right file with --config-file.')
    try:
        importlib.import_module('nova.virt.docker')
    except ImportError:
        return outcome.bad(
            f'{sys.prefix} has no nova.virt.docker, which belongs beside the '
            'other drivers of Nova: install nova-docker into the environment '
            'of Nova, or link nova/virt/docker into an editable Nova.')
    return outcome.good(f'Nova loads {_DRIVER}.')


def access() -> outcome.Result:
    """See that this user may open the engine's socket."""
    url = CONF.docker.url
    trouble = enginesocket.trouble(url, '[docker] url',
                                   'restart nova-compute')
    if trouble:
        return outcome.bad(trouble)
    if not os.geteuid():
        return outcome.good('root may do everything: run this as the user of '
                            'nova-compute to know of that user.')
    return outcome.good(f'{enginesocket.user_name()} may open '
                        f"{url.removeprefix('unix://')}.")


def plugins() -> outcome.Result:
    """See that os-vif can plug ports into Open vSwitch."""
    os_vif.initialize()
    found = {each.name for each
             in importlib.metadata.entry_points(group='os_vif')}
    if 'ovs' not in found:
        return outcome.bad('os-vif has no plug-in "ovs": install os-vif into '
                           'the environment of Nova.')
    return outcome.good(f"os-vif has: {', '.join(sorted(found))}.")


def switch() -> outcome.Result:
    """See that Open vSwitch answers, and has Neutron's bridge."""
    os_vif.initialize()
    connection = CONF.os_vif_ovs.ovsdb_connection
    if not _connects(connection):
        return outcome.bad(
            f"Open vSwitch's database does not answer at {connection}: start "
            'it, let it listen there (ovs-vsctl set-manager), or set '
            '[os_vif_ovs] ovsdb_connection.')
    nova.conf.neutron.register_dynamic_opts(CONF)
    bridge = CONF.neutron.ovs_bridge
    if not datapath.Datapath().has_bridge(bridge):
        return outcome.doubtful(
            f"Open vSwitch has no bridge {bridge}: start Neutron's agent, "
            'which makes it, or set [neutron] ovs_bridge.')
    return outcome.good(f'Open vSwitch answers, and has {bridge}.')


def _connects(connection: str) -> bool:
    if connection.startswith('ssl:'):
        # Only os-vif has the keys; it fails in its own time.
        return True
    error, opened = stream.Stream.open_block(
        stream.Stream.open(connection), _PATIENCE_MS)
    if not error:
        opened.close()
    return not error


def daemons() -> outcome.Result:
    """See that every privileged daemon can be started, by starting it."""
    helper = shlex.split(utils.get_root_helper())
    priv_context.init(root_helper=_unattended(helper))
    for context in _contexts():
        section = context.cfg_section
        given = context.conf.helper_command
        if given:
            CONF.set_override('helper_command', shlex.join(
                _unattended(shlex.split(given))), section)
        try:
            context.start()
        except (daemon.FailedToDropPrivileges, OSError) as error:
            command = given or shlex.join([*helper, 'privsep-helper'])
            return outcome.bad(
                f'The privileged daemon of [{section}] does not start with '
                f'"{command}" ({error}): let sudoers allow nova-rootwrap '
                'without a password, and copy docker.filters of this package '
                'to /etc/nova/rootwrap.d.')
        finally:
            context.stop()
            CONF.clear_override('helper_command', section)
    return outcome.good('Every privileged daemon starts.')


def _contexts() -> list[priv_context.PrivContext]:
    ours = [each for each in vars(privsep).values()
            if isinstance(each, priv_context.PrivContext)]
    return [*ours, os_vif_privsep.vif_plug, os_brick_privsep.default]


def _unattended(command: list[str]) -> list[str]:
    """Let sudo fail where it would ask for a password, as in a service."""
    if os.path.basename(command[0]) == 'sudo':
        return [command[0], '-n', *command[1:]]
    return command


def proc_files() -> outcome.Result:
    """See whether containers get a view of their own in /proc."""
    if CONF.docker.lxcfs == 'off':
        return outcome.good('[docker] lxcfs is off: servers see the CPUs, '
                            'memory and uptime of the host.')
    if lxcfs.serving() is None:
        judged = (outcome.bad if CONF.docker.lxcfs == 'required'
                  else outcome.doubtful)
        return judged(
            f'LXCFS does not serve at {CONF.docker.lxcfs_path}, so servers '
            'would see the CPUs, memory and uptime of the host: start LXCFS, '
            'set [docker] lxcfs_path, or set [docker] lxcfs to off.')
    return outcome.good(f'LXCFS serves at {CONF.docker.lxcfs_path}.')


class _Timex(ctypes.Structure):
    """The beginning of adjtimex(2)'s structure, and room for the rest."""

    _fields_ = (('modes', ctypes.c_uint), ('offset', ctypes.c_long),
                ('freq', ctypes.c_long), ('maxerror', ctypes.c_long),
                ('esterror', ctypes.c_long), ('status', ctypes.c_int),
                ('rest', ctypes.c_long * 64))


def clock() -> outcome.Result:
    """See that something keeps the clock right."""
    now = time.time()
    if now < _NOT_BEFORE:
        return outcome.bad(f'The clock says {time.ctime(now)}: set it, and '
                           'let NTP keep it.')
    if not _is_synchronised():
        return outcome.doubtful(
            'Nothing keeps the clock right, and the hosts of a cloud compare '
            'times: install chrony or systemd-timesyncd.')
    return outcome.good('The clock is kept right.')


def _is_synchronised() -> bool:
    """Ask the kernel, which every NTP client tells."""
    asked = _Timex()
    answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    if answer < 0:
        raise exception.InternalError(os.strerror(ctypes.get_errno()))
    return not asked.status & _STA_UNSYNC
