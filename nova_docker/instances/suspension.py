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

"""Suspend and resume: frozen processes, or processes that wait on disk."""

from __future__ import annotations

from collections.abc import Callable

from nova.compute import power_state
from nova.network import model
from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import copies
from nova_docker.instances import power
from nova_docker.instances import query
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.network import connection
from nova_docker.network import sandbox
from nova_docker import spec
from nova_docker.volumes import propagate

LOG = logging.getLogger(__name__)


class Suspension:
    """Suspends and resumes servers, as ``[docker] suspend_method`` says.

    A server is resumed in the way it was suspended, whatever the option says
    by then.

    :param engine: where they run
    :param instances: knows which run
    :param states: freezes them, and starts them
    :param network: is silent meanwhile
    :param boxes: has the image that checkpoints are tried with
    :param points: knows who has anything mounted
    :param host: returns the facts that the create arguments depend on
    """

    def __init__(self, engine: client.Engine, instances: query.Query,
                 states: power.Power, network: connection.Connection,
                 boxes: sandbox.Sandbox, points: propagate.Propagation,
                 host: Callable[[], spec.Host]) -> None:
        self._engine = engine
        self._instances = instances
        self._power = states
        self._network = network
        self._boxes = boxes
        self._points = points
        self._host = host
        #: Whether it writes them to disk: the option asks, and the host can.
        self.writes = False

    def prepare(self) -> None:
        """Find out once whether this host can do what the option asks."""
        self._forget_stale()
        self.writes = (CONF.docker.suspend_method == 'checkpoint' and
                        self._can_write())

    def _forget_stale(self) -> None:
        """Remove what a nova-compute left that ended right after a resume."""
        for uuid, state in self._instances.workloads().items():
            if state == power_state.RUNNING:
                copies.forget(self._engine, names.workload(uuid))

    def _can_write(self) -> bool:
        """Try it: nothing else tells that engine, CRIU and kernel agree."""
        name = names.trial()
        try:
            self._remove_trial()
            lxcfs.aim()
            self._engine.create(
                name, spec.trial(self._boxes.prepare(), self._host()))
            self._engine.start(name)
            self._engine.checkpoint(name)
            self._engine.start_from_checkpoint(name)
            if not copies.remove(self._engine, name):
                LOG.warning(
                    'No copy of a checkpoint is where containerd makes one '
                    'of each that is used: in the directory that '
                    'XDG_RUNTIME_DIR or TMPDIR of a process containerd '
                    'names, or /tmp. If it makes them elsewhere, remove '
                    'ctrd-checkpoint* there from time to time: each has all '
                    'that the processes of a server had in memory.')
        except errors.EngineUnavailable:
            raise
        except errors.EngineError as error:
            LOG.warning('[docker] suspend_method is checkpoint, but the '
                        'engine can not make or use one here, so that '
                        'suspended servers are frozen instead: %s', error)
            return False
        finally:
            self._remove_trial()
        return True

    def _remove_trial(self) -> None:
        copies.remove(self._engine, names.trial())
        self._engine.remove(names.trial())

    def suspend(self, instance: objects.Instance) -> None:
        """Freeze the workload, or write it to disk and end it.

        One that has anything mounted is frozen: before it restores a
        container, runc binds all of its mounts and lets go of them again,
        and what was below a shared one is then unmounted on the host too.

        :raises InstanceFaultRollback: it can't be written, and runs on
        :raises NoContainer: there is no workload
        """
        if self.writes and not self._points.has_any(instance.uuid):
            self._power.found(instance)
            self._write(names.workload(instance.uuid))
            self._network.silence(connection.known_ports(instance))
        else:
            self._power.pause(instance)

    def _write(self, name: str) -> None:
        copies.forget(self._engine, name)
        try:
            self._engine.checkpoint(name)
        except errors.EngineUnavailable:
            raise
        except errors.EngineError as error:
            raise exception.InstanceFaultRollback(
                exception.InstanceSuspendFailure(
                    reason='its processes can not be written to disk, and '
                           f'run on: {error.message}')) from error

    def resume(self, instance: objects.Instance,
               network_info: model.NetworkInfo) -> None:
        """Let a suspended workload go on.

        One that was frozen when its host was restarted has ended since, and
        is started.

        :raises InstanceFaultRollback: it can't go on, and stays suspended
        """
        if self._power.is_running(instance):
            self._power.unpause(instance)
            return
        name = names.workload(instance.uuid)
        with self._power.prepared(instance, network_info):
            # Not before: what it is bound to may have needed another one.
            if not self._engine.has_checkpoint(name):
                self._power.on(instance, network_info)
                return
            self._bring_back(name)
        self._engine.remove_checkpoint(name)

    def _bring_back(self, name: str) -> None:
        try:
            self._engine.start_from_checkpoint(
                name, lambda: copies.remove(self._engine, name))
        except errors.EngineUnavailable:
            raise
        except errors.EngineError as error:
            raise exception.InstanceFaultRollback(
                exception.InstanceResumeFailure(
                    reason='its processes can not be brought back, and a '
                           'hard reboot starts it without them: '
                           f'{error.message}')) from error
