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

"""Keeps the /proc of running workloads alive when LXCFS is restarted."""

from __future__ import annotations

import os
import select
import threading

from nova.compute import power_state
from oslo_log import log as logging

from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import query
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.privsep import proc
from nova_docker import spec

LOG = logging.getLogger(__name__)

#: Seconds until it is done again: a workload may have been about to start.
AGAIN = 5
#: Seconds after which it looks by itself: no thread of eventlet's, which
#: nova-compute has before Nova 34, hears of a mount.
LOOK = 60
_MOUNTS = '/proc/self/mountinfo'
_RUNNING = (power_state.RUNNING, power_state.PAUSED)


class ProcFiles:
    """Watches LXCFS, and gives running workloads the files of a new one.

    What a dead LXCFS has left over a file of /proc answers with an error for
    ever. The kernel tells when a file system is mounted, so little is asked
    for in between.

    :param engine: knows the workloads' processes
    :param instances: knows which run
    """

    def __init__(self, engine: client.Engine,
                 instances: query.Query) -> None:
        self._engine = engine
        self._instances = instances
        self._stopping = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; once."""
        if lxcfs.directory() is not None:
            self._thread = threading.Thread(
                target=self._follow, name='lxcfs', daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; can be run again."""
        os.eventfd_write(self._stopping, 1)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _follow(self) -> None:
        known, rounds = None, 0
        with open(_MOUNTS, 'rb') as mounts:
            while True:
                device = _device()
                if device != known:
                    known, rounds = device, 0 if device is None else 2
                if rounds and self._renew_all():
                    rounds -= 1
                stopping, _written, _mounted = select.select(
                    [self._stopping], [], [mounts], AGAIN if rounds else LOOK)
                if stopping:
                    return

    def _renew_all(self) -> bool:
        """Renew what is stale; return False to try it again."""
        try:
            for uuid, state in self._instances.workloads().items():
                if state in _RUNNING:
                    self._renew(uuid)
        except errors.EngineError as error:
            LOG.debug("The engine does not tell what runs: %s", error)
            return False
        return True

    def _renew(self, uuid: str) -> None:
        try:
            found = self._engine.container(names.workload(uuid))
            pid = found['State']['Pid']
            renewed = pid and proc.renew(
                pid, f'{CONF.docker.lxcfs_path}/proc',
                [os.path.basename(name) for name in spec.LXCFS_FILES])
        except (errors.EngineNotFound, ProcessLookupError):
            return  # It has ended meanwhile.
        except errors.EngineError:
            raise
        except Exception as error:
            LOG.warning('LXCFS was restarted, and the container can not read '
                        'its /proc until it is rebooted: %s', error,
                        instance_uuid=uuid)
            return
        if renewed:
            LOG.info('LXCFS was restarted: gave the container its %s anew.',
                     ', '.join(renewed), instance_uuid=uuid)


def _device() -> int | None:
    """Return the number of LXCFS's file system; None while it is away."""
    path = lxcfs.serving()
    try:
        return os.stat(f'{path}/proc/uptime').st_dev if path else None
    except OSError:
        return None
