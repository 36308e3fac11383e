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

"""Spawn: from an image and a network to a running workload."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
import contextlib
import threading
from typing import Any
from typing import Final

from nova.network import model
from oslo_log import log as logging
from oslo_utils import timeutils

from nova import exception
from nova import objects
from nova.virt import virtapi
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import workload
from nova_docker import lxcfs
from nova_docker import names
from nova_docker.network import connection
from nova_docker.rootvolume import content
from nova_docker.volumes import whole

LOG = logging.getLogger(__name__)

#: The part of Neutron's time after which it is told of a port again.
_AGAIN: Final = 1 / 8


class Spawn:
    """Builds instances.

    :param engine: where they run
    :param images: brings a Glance image into the engine
    :param network: connects an instance
    :param workloads: makes what runs the image
    :param attached: attaches the volumes
    :param undo: removes what a failed spawn has made
    :param events: waits for Neutron
    :param roots: has the root file systems of volumes
    """

    def __init__(self, engine: client.Engine, images: store.Store,
                 network: connection.Connection,
                 workloads: workload.Workload, attached: whole.Volumes,
                 undo: destroy.Destroy, events: virtapi.VirtAPI,
                 roots: content.Roots) -> None:
        self._engine = engine
        self._images = images
        self._network = network
        self._workloads = workloads
        self._volumes = attached
        self._undo = undo
        self._events = events
        self._roots = roots

    def __call__(self, context: Any, instance: objects.Instance,
                 image_meta: objects.ImageMeta,
                 details: configdrive.Details, power_on: bool,
                 sha256: str | None = None) -> None:
        """Build an instance; leave nothing behind if that fails.

        :param details: its ports, and what the user gives with it
        :param sha256: of an image that another compute host has made
        :raises BuildAbortException: with one sentence for the user, where
            the image, the command or the engine was at fault
        """
        network_info = details.network_info
        with (aborting(instance),
              self._undone_on_failure(instance, network_info)):
            self._workloads.check(instance)
            on_volume = (whole.has_root(details.block_devices)
                         or self._roots.has_any(instance))
            with futures.ThreadPoolExecutor(2, 'spawn') as threads:
                image = threads.submit(
                    self._image, context, instance, image_meta, on_volume,
                    sha256)
                with self._wired(instance, network_info, power_on):
                    self._network.plug(instance, network_info)
                    self._network.enclose(instance, network_info)
                    joined = threads.submit(self._network.join, instance,
                                            network_info)
                    self._volumes.ensure(context, instance,
                                         details.block_devices)
                    if on_volume:
                        self._roots.prepare(context, instance, image_meta)
                    self._workloads.create(
                        instance, image.result(), details,
                        root=self._workloads.root(instance))
                    joined.result()
            if power_on:
                lxcfs.prepare()
                self._workloads.start(instance)
            else:
                self._network.silence(network_info)

    def _image(self, context: Any, instance: objects.Instance,
               image_meta: objects.ImageMeta, on_volume: bool,
               sha256: str | None) -> str:
        """Return the engine image to start from.

        Which one a volume is to get, it says itself when it is there.
        """
        if on_volume:
            return names.GATE_IMAGE
        return self._images.ensure(context, instance, image_meta, sha256)

    @contextlib.contextmanager
    def _undone_on_failure(self, instance: objects.Instance,
                           network_info: model.NetworkInfo
                           ) -> Iterator[None]:
        try:
            yield
        except BaseException:
            try:
                self._undo(instance, network_info)
            except Exception:
                LOG.exception('Cleaning up after a failed spawn failed.',
                              instance=instance)
            raise

    @contextlib.contextmanager
    def _wired(self, instance: objects.Instance,
               network_info: model.NetworkInfo,
               power_on: bool) -> Iterator[None]:
        """Do the work inside while Neutron wires the ports; then wait."""
        timeout = CONF.vif_plugging_timeout
        late = model.NetworkInfo(
            port for port in network_info
            if power_on and timeout and port.get('active', True) is False)
        expected = [('network-vif-plugged', port['id']) for port in late]
        try:
            with (contextlib.ExitStack() as meanwhile,
                  self._events.wait_for_instance_event(
                      instance, expected, timeout,
                      error_callback=_plugging_failed)):
                yield
                wait = timeutils.StopWatch().start()
                if late:
                    meanwhile.enter_context(self._told_again(
                        instance, late, timeout * _AGAIN))
            LOG.info('Took %0.2f seconds to wait for Neutron.',
                     wait.elapsed(), instance=instance)
        except errors.EVENT_TIMEOUT as error:
            LOG.warning('Neutron did not wire the ports in %d s.', timeout,
                        instance=instance)
            if CONF.vif_plugging_is_fatal:
                raise exception.VirtualInterfaceCreateException() from error

    @contextlib.contextmanager
    def _told_again(self, instance: objects.Instance,
                    ports: model.NetworkInfo, seconds: float
                    ) -> Iterator[None]:
        """Plug ports anew if Neutron has not wired them by then.

        Its Open vSwitch agent may hear of a port before the agent's own copy
        of the switch's database has it; then it forgets the port for good.
        """
        timer = threading.Timer(seconds, self._tell_again, (instance, ports))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # What it has begun is over before the workload starts.
            timer.join()

    def _tell_again(self, instance: objects.Instance,
                    ports: model.NetworkInfo) -> None:
        LOG.warning('Neutron has not wired the ports yet. They are plugged '
                    'once more.', instance=instance)
        try:
            self._network.renew(instance, ports)
        except Exception as error:
            LOG.warning('Plugging the ports once more failed: %s', error,
                        instance=instance)


@contextlib.contextmanager
def aborting(instance: objects.Instance) -> Iterator[None]:
    """Tell the user what the engine says to what is done inside.

    :raises BuildAbortException: with one sentence
    """
    try:
        yield
    except errors.EngineError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=_sentence(error)) from error


def _plugging_failed(event_name: str, instance: objects.Instance) -> bool:
    LOG.error('Neutron reported a failure: %s', event_name,
              instance=instance)
    if CONF.vif_plugging_is_fatal:
        raise exception.VirtualInterfaceCreateException()
    return True


def _sentence(error: errors.EngineError) -> str:
    if isinstance(error, errors.EngineUnavailable):
        return (f'The Docker Engine on host {CONF.host} does not answer: '
                f'{error.message}')
    return f'The container could not be started: {error.message}'
