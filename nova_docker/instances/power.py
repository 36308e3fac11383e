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

"""Power: on, off, reboot, pause and unpause."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import time

from nova.compute import power_state
from nova.compute import utils as compute_utils
from nova.compute import vm_states
from nova.network import model
from oslo_log import log as logging
from oslo_utils import timeutils

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import copies
from nova_docker.instances import query
from nova_docker.instances import rootdisk
from nova_docker.instances import workload
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.network import connection
from nova_docker.rootvolume import layout
from nova_docker import spec

LOG = logging.getLogger(__name__)
#: Seconds after the start within which docker-init should be at work.
_BEGINNING = 20
_LOOK = 0.05
_RUNNING = (power_state.RUNNING, power_state.PAUSED)
#: What Nova calls a server that it has frozen.
_FROZEN = (vm_states.PAUSED, vm_states.SUSPENDED)


class Power:
    """Starts and stops workloads.

    :param engine: where they run
    :param network: brings a server's network back before it starts
    :param workloads: binds it to that network
    :param disks: brings back the root disk of a rescued server
    """

    def __init__(self, engine: client.Engine,
                 network: connection.Connection,
                 workloads: workload.Workload,
                 disks: rootdisk.RootDisk) -> None:
        self._engine = engine
        self._network = network
        self._workloads = workloads
        self._disks = disks

    def on(self, instance: objects.Instance,
           network_info: model.NetworkInfo) -> None:
        """Start the workload on a network that is there before it.

        A failure leaves the workload as it was: it can be tried again.

        :raises InstancePowerOnFailure: with the engine's reason
        :raises NoContainer: there is no workload
        """
        self.found(instance)
        # What it remembers is not so any more once its disk is written to.
        self._forget(instance)
        with self.prepared(instance, network_info):
            try:
                self._workloads.start(instance)
            except errors.EngineUnavailable:
                raise
            except errors.EngineError as error:
                raise exception.InstancePowerOnFailure(
                    reason=error.message) from error

    @contextlib.contextmanager
    def prepared(self, instance: objects.Instance,
                 network_info: model.NetworkInfo) -> Iterator[None]:
        """Bring what the workload needs before it is started inside.

        Can be run again. If it does not run after a failure, inside as well,
        its ports carry no more than before.

        :raises InstancePowerOnFailure: it lacks a volume
        :raises NoContainer: there is no workload
        """
        container = self.found(instance)
        try:
            self._network.ensure(instance, network_info)
            self._workloads.follow_sandbox(instance)
            self._disks.restore(instance, container)
            self._workloads.check_volumes(instance, container)
            lxcfs.prepare()
            yield
        except errors.EngineUnavailable:
            # It may begin to run after all, and nobody would plug them then.
            raise
        except Exception:
            self._silence_again(instance, network_info)
            raise

    def _silence_again(self, instance: objects.Instance,
                       network_info: model.NetworkInfo) -> None:
        """Silence the ports of a server that has failed to start."""
        try:
            if not self.is_running(instance):
                self._network.silence(network_info)
        except Exception as error:
            LOG.warning('Its ports may carry, though it could not be '
                        'started: %s', error, instance=instance)

    def found(self, instance: objects.Instance) -> client.Document:
        """Return the workload as it is.

        One that was set aside, and that nothing stands in for, as the engine
        went away then, is taken back.

        :raises NoContainer: somebody has removed it
        """
        name = names.workload(instance.uuid)
        try:
            with contextlib.suppress(errors.EngineNotFound):
                return self._engine.container(name)
            self._workloads.reclaim(instance.uuid)
            return self._engine.container(name)
        except errors.EngineNotFound as error:
            raise errors.NoContainer() from error

    def off(self, instance: objects.Instance, timeout: int = 0) -> None:
        """Stop the workload; one that is stopped, or gone, stays as it is.

        One whose processes wait on disk forgets them.

        It gets its stop signal, then SIGKILL when it has not ended in time.
        A shell on a terminal ignores SIGTERM, so it also gets the SIGHUP
        that closing the terminal would send.

        :param timeout: seconds between the signal and the kill
        """
        try:
            container = self._engine.container(names.workload(instance.uuid))
        except errors.EngineNotFound:
            # Nova begins with this what removes a server, too: an earlier
            # try may have removed the container, and have ended there.
            LOG.warning('There is no container to stop.', instance=instance)
        else:
            self._stop(instance, container, timeout)
        self._network.silence(connection.known_ports(instance))

    def _stop(self, instance: objects.Instance, container: client.Document,
              timeout: int) -> None:
        name = names.workload(instance.uuid)
        if container['State']['Paused']:
            self._engine.unpause(name)
        if timeout:
            self._await_command(container)
            if self._is_shell(container):
                self._engine.signal(name, 'SIGHUP')
        self._engine.stop(name, timeout)
        self._forget(instance)

    def _forget(self, instance: objects.Instance) -> None:
        """Drop the processes that wait on disk; there may be none.

        From when CRIU writes them until it restores them nothing passes
        their network namespace, so that one without a lock has to follow.
        The lock goes first: without the checkpoint nobody would know of it.
        One that runs has its network, and what is left of it has no lock.
        """
        if self._state(instance) == power_state.SUSPENDED:
            self._network.end(instance)
        copies.forget(self._engine, names.workload(instance.uuid))

    def _await_command(self, container: client.Document) -> None:
        """Wait until docker-init has started the command.

        Before that it listens to signals. One that is sent still earlier,
        while the engine says that the container runs, is lost, and the stop
        would take its whole time.
        """
        if not (container['State']['Running'] and
                container['HostConfig'].get('Init')):
            return
        began = timeutils.parse_isotime(container['State']['StartedAt'])
        while (timeutils.delta_seconds(
                began, timeutils.utcnow(with_timezone=True)) < _BEGINNING and
               self._engine.count_processes(container['Id']) == 1):
            time.sleep(_LOOK)

    @staticmethod
    def _is_shell(container: client.Document) -> bool:
        return (container['Config']['Tty'] and
                spec.is_interactive_shell(layout.command(container)))

    def reboot(self, instance: objects.Instance,
               network_info: model.NetworkInfo, hard: bool,
               meanwhile: Callable[[], None] = lambda: None) -> None:
        """Stop and start the workload.

        :param hard: kill at once instead of asking it to end
        :param meanwhile: called while it is off
        """
        self.off(instance, 0 if hard else self.patience(instance))
        meanwhile()
        if hard:
            self.found(instance)
            self._workloads.mend_limits(instance)
        self.on(instance, network_info)

    @staticmethod
    def patience(instance: objects.Instance) -> int:
        """Return the seconds that its user, or Nova, gives it to stop in."""
        return int(compute_utils.get_value_from_system_metadata(
            instance, key='image_os_shutdown_timeout', type=int,
            default=CONF.shutdown_timeout))

    def pause(self, instance: objects.Instance) -> None:
        """Freeze the workload's processes; frozen ones stay so.

        :raises NoContainer: there is no workload
        """
        if query.state_of(self.found(instance)) != power_state.PAUSED:
            self._engine.pause(names.workload(instance.uuid))
        self._network.silence(connection.known_ports(instance))

    def unpause(self, instance: objects.Instance) -> None:
        """Thaw the workload's processes; running ones stay so.

        :raises NoContainer: there is no workload
        """
        state = query.state_of(self.found(instance))
        if state in _RUNNING:
            # Somebody else may have thawed them, and knows of no port.
            self._network.end_silence(connection.known_ports(instance))
        if state == power_state.PAUSED:
            self._engine.unpause(names.workload(instance.uuid))

    def is_running(self, instance: objects.Instance) -> bool:
        """Whether the workload runs, frozen or not."""
        return self._state(instance) in _RUNNING

    def restore(self, instance: objects.Instance,
                network_info: model.NetworkInfo) -> None:
        """Start the workload unless it runs, or is frozen, already."""
        if not self.is_running(instance):
            self.on(instance, network_info)

    def quieten(self, instance: objects.Instance,
                network_info: model.NetworkInfo) -> None:
        """Silence ports that were plugged, unless the workload runs.

        One that is frozen while it is copied runs on in a moment, and nobody
        tells its ports.
        """
        try:
            state = self._state(instance)
        except errors.EngineNotFound:
            return
        if state not in _RUNNING or instance.vm_state in _FROZEN:
            self._network.silence(network_info)

    def crash(self, instance: objects.Instance) -> None:
        """Make the main process dump its core, if it has not other plans.

        It gets SIGQUIT, which ends a process with a core: where that goes
        is the host's kernel.core_pattern. The runtimes of Java and Go print
        what each thread does, as their users expect.

        :raises NoContainer: there is no workload
        :raises InstanceNotRunning: it has no process
        :raises InstanceInvalidState: it is a shell, which ignores that
        """
        container = self.found(instance)
        if query.state_of(container) != power_state.RUNNING:
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        if self._is_shell(container):
            raise exception.InstanceInvalidState(
                f'Server {instance.uuid} runs an interactive shell, which '
                'ignores the signal that makes other programs dump core.')
        self._engine.signal(container['Id'], 'SIGQUIT')

    def _state(self, instance: objects.Instance) -> int:
        return query.actual_state(
            self._engine,
            self._engine.container(names.workload(instance.uuid)))
