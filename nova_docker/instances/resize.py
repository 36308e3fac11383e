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

"""Resize and cold migration: another flavor, or another host."""

from __future__ import annotations

import contextlib
from typing import Any

from nova.network import model
from oslo_log import log as logging
from oslo_utils import units

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import attempt
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import migration
from nova_docker.instances import power
from nova_docker.instances import workload
from nova_docker import names
from nova_docker.network import connection
from nova_docker import spec
from nova_docker.volumes import ephemeral
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)


class Resize:
    """Resizes servers, here or towards another host.

    Here the limits of the running container change; nothing restarts. Only
    where the flavors differ in what a container has from its birth, as a
    capability or the size of its disk, its root disk moves to a new one, and
    the old one is set aside until the resize is confirmed.

    :param engine: where they run
    :param workloads: sets the old container aside
    :param stops: stops and starts them
    :param attached: disconnects their volumes
    :param remove: removes what has left for another host
    :param moves: brings disks to another host
    :param local: has the ephemeral disks
    :param attempts: tries what the engine refuses late
    """

    def __init__(self, engine: client.Engine, workloads: workload.Workload,
                 stops: power.Power, attached: whole.Volumes,
                 remove: destroy.Destroy, moves: migration.Migration,
                 local: ephemeral.Ephemeral,
                 attempts: attempt.Attempt) -> None:
        self._engine = engine
        self._workloads = workloads
        self._power = stops
        self._volumes = attached
        self._remove = remove
        self._moves = moves
        self._local = local
        self._try = attempts

    def begin(self, context: Any, instance: objects.Instance, dest: str,
              flavor: objects.Flavor, details: configdrive.Details,
              timeout: int) -> str:
        """Apply a flavor here, or send the disks away.

        :param dest: address of the host to be
        :param details: its ports and volumes
        :param timeout: seconds to stop in
        :returns: what :meth:`finish` needs to know
        :raises InstanceFaultRollback: it can't be done, and nothing changed
        """
        try:
            self._volumes.refuse_disk_names(instance)
            self._workloads.settle(instance)
            was_running = self._power.is_running(instance)
            self._refuse_smaller_disks(instance, flavor)
            if dest == str(CONF.my_ip):
                self._change(instance, flavor, timeout)
                told = self._moves.NOWHERE
            else:
                told = self._moves.send(context, instance,
                                        details.network_info, timeout)
        except (errors.EngineError, exception.NovaException) as error:
            raise _rollback(error) from error
        if self._volumes.has_any(instance):
            try:
                # Cinder is about to disconnect them, on the same host too.
                self._power.off(instance, timeout)
                self._volumes.discard(instance)
            except Exception as error:
                LOG.warning('Its volumes can not be disconnected, so it stays '
                            'what and where it was: %s', error,
                            instance=instance)
                errors.take_all(
                    lambda: self._moves.forget(context, instance, told),
                    lambda: self.revert(context, instance, details,
                                        was_running))
                raise _rollback(error) from error
        return told

    def finish(self, context: Any, instance: objects.Instance,
               disk_info: str, details: configdrive.Details,
               power_on: bool) -> None:
        """Let the server go on with its new flavor, here or from afar.

        :param disk_info: what :meth:`begin` returned
        :param details: its ports and volumes
        """
        if self._moves.is_away(disk_info):
            self._moves.receive(context, instance, disk_info, details,
                                power_on)
            return
        try:
            self._go_on(context, instance, details, power_on)
        except Exception:
            self._give_up(instance)
            raise

    def _give_up(self, instance: objects.Instance) -> None:
        """Take the old flavor again, as Nova does with one that failed."""
        try:
            self._bring_back(instance, instance.old_flavor)
        except Exception:
            LOG.exception('The server could not get its old flavor back '
                          'after a failed resize.', instance=instance)

    def confirm(self, instance: objects.Instance,
                migration: objects.Migration,
                network_info: model.NetworkInfo) -> None:
        """Remove what is left of the old server; can be run again."""
        if migration.source_compute == migration.dest_compute:
            self._workloads.discard_aside(instance)
        else:
            self._remove(instance, network_info)

    def revert(self, context: Any, instance: objects.Instance,
               details: configdrive.Details, power_on: bool) -> None:
        """Give the server its old limits, or its old container, again.

        Can be run again, and when nothing has changed yet. One whose
        processes hold more memory by now than they had is started anew.

        :param details: its ports and volumes
        """
        self._bring_back(instance, instance.flavor)
        self._go_on(context, instance, details, power_on)

    def _bring_back(self, instance: objects.Instance,
                    flavor: objects.Flavor) -> None:
        self._workloads.bring_back(instance)
        if self._excess(instance, flavor):
            self._power.off(instance, self._power.patience(instance))
        self._workloads.limit(instance, flavor)

    def _go_on(self, context: Any, instance: objects.Instance,
               details: configdrive.Details, power_on: bool) -> None:
        self._volumes.ensure(context, instance, details.block_devices)
        if power_on:
            self._power.restore(instance, details.network_info)

    def _change(self, instance: objects.Instance, flavor: objects.Flavor,
                timeout: int) -> None:
        with instance.mutated_migration_context():
            old = self._workloads.body(instance, '')
            new = self._workloads.body(instance, '', flavor=flavor)
            if spec.needs_new_container(old, new):
                self._try(instance, new)
                self._replace(instance, flavor, timeout)
            else:
                self._refuse_too_small(instance, flavor)
                self._workloads.limit(instance, flavor)

    def _refuse_smaller_disks(self, instance: objects.Instance,
                              flavor: objects.Flavor) -> None:
        """See that the ephemeral disks are no larger than a flavor has them.

        As with other drivers they keep their sizes.
        """
        size = self._local.size(instance)
        if size > flavor.ephemeral_gb * units.Gi:
            raise exception.ResizeError(
                reason=f'its ephemeral disks have {size // units.Gi} GiB, and '
                       f'flavor {flavor.name} has {flavor.ephemeral_gb} GiB.')

    def _refuse_too_small(self, instance: objects.Instance,
                          flavor: objects.Flavor) -> None:
        """See that what the processes hold fits into the new memory.

        The kernel would refuse as well, but only after the page cache is
        gone, and in words that nobody understands.
        """
        held = self._excess(instance, flavor)
        if held:
            raise exception.ResizeError(
                reason=f'the processes of the server hold {held // units.Mi} '
                       f'MiB of memory, and flavor {flavor.name} has '
                       f'{flavor.memory_mb} MiB.')

    def _excess(self, instance: objects.Instance,
                flavor: objects.Flavor) -> int:
        """Return the memory that processes hold if it is more than a flavor's.

        The engine takes a second to tell, so it is not asked where there is
        no less memory than before.

        :returns: in bytes; 0 if it fits
        """
        limit = flavor.memory_mb * units.Mi
        host = self._engine.container(
            names.workload(instance.uuid))['HostConfig']
        if host['Memory'] <= limit:
            return 0
        held = self._memory_held(instance)
        return held if held > limit else 0

    def _memory_held(self, instance: objects.Instance) -> int:
        """Return the bytes that can't be reclaimed; 0 of a stopped one."""
        found = self._engine.stats(
            names.workload(instance.uuid)).get('memory_stats', {})
        figures = found.get('stats', {})
        cache = figures.get('total_inactive_file',
                            figures.get('inactive_file', 0))
        active = figures.get('total_active_file',
                             figures.get('active_file', 0))
        return max(0, int(found.get('usage', 0)) - cache - active)

    def _replace(self, instance: objects.Instance, flavor: objects.Flavor,
                 timeout: int) -> None:
        was_running = self._power.is_running(instance)
        self._power.off(instance, timeout)
        try:
            self._workloads.move_disk(
                instance, configdrive.Details(
                    connection.known_ports(instance)),
                flavor=flavor)
        except Exception:
            with contextlib.suppress(errors.EngineError):
                self._workloads.bring_back(instance)
                if was_running:
                    self._power.on(instance,
                                   connection.known_ports(instance))
            raise


def _rollback(error: Exception) -> exception.InstanceFaultRollback:
    reason = (error.message if isinstance(error, errors.EngineError)
              else str(error))
    return exception.InstanceFaultRollback(
        exception.ResizeError(reason=reason))
