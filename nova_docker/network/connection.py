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

"""An instance's connection to its networks: sandbox and ports together."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib

from nova.network import model
from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.network import sandbox
from nova_docker.network import vif
from nova_docker.network import wiring

LOG = logging.getLogger(__name__)

_LOST = ('Somebody has ended the sandbox of this server, which runs on in the '
         "sandbox's network: no port can be brought there until the server is "
         'rebooted.')


def known_ports(instance: objects.Instance) -> model.NetworkInfo:
    """Return the ports that Nova remembers, where it does not give any."""
    return instance.get_network_info() or model.NetworkInfo()


@contextlib.contextmanager
def _as_plug_failure() -> Iterator[None]:
    """Nova knows what to do after this exception, at start-up as well."""
    try:
        yield
    except (exception.NovaException, errors.EngineError):
        raise
    except Exception as error:
        raise exception.VirtualInterfacePlugException(
            f'Network port could not be wired: {error}') from error


class Connection:
    """Connects instances to their networks and disconnects them.

    :param boxes: makes the containers that own the network namespaces
    :param wires: wires one port at a time
    """

    def __init__(self, boxes: sandbox.Sandbox, wires: wiring.Wiring) -> None:
        self._boxes = boxes
        self._wires = wires

    def prepare(self) -> None:
        """Do once what would delay the first instance."""
        self._boxes.prepare()
        self._wires.warm()

    def plug(self, instance: objects.Instance,
             network_info: model.NetworkInfo) -> None:
        """Put the host ends on the switch: Neutron's work begins here.

        Can be run again. :meth:`unplug` is its twin.
        """
        with _as_plug_failure():
            for port in network_info:
                self._wires.plug(instance, port)

    def silence(self, network_info: model.NetworkInfo) -> None:
        """Let the ports carry nothing until :meth:`end_silence`, or a plug.

        The sandbox would answer pings while the workload stands still.
        """
        for port in network_info:
            self._wires.silence(port)

    def end_silence(self, network_info: model.NetworkInfo) -> None:
        """Let the ports that are plugged carry again.

        What Nova remembers may still have a port that was detached a moment
        ago: that one is not plugged again.
        """
        for port in network_info:
            self._wires.end_silence(port)

    def unplug(self, instance: objects.Instance,
               network_info: model.NetworkInfo) -> None:
        """Take the ports off the switch; can be run again.

        Every port gets its turn; the first error is raised at the end.
        """
        failures: list[Exception] = []
        for port in network_info:
            try:
                self._wires.unplug(instance, port)
            except Exception as error:
                LOG.warning('Unplugging port %s failed: %s', port['id'],
                            error, instance=instance)
                failures.append(error)
        if failures:
            raise exception.VirtualInterfaceUnplugException(
                reason=str(failures[0])) from failures[0]

    def enclose(self, instance: objects.Instance,
                network_info: model.NetworkInfo) -> None:
        """Create the sandbox, so that a workload can be created on it.

        Can be run again.
        """
        self._boxes.create(instance, *_names(network_info))

    def join(self, instance: objects.Instance,
             network_info: model.NetworkInfo) -> None:
        """Give the instance's network namespace its ends of the ports.

        Starts the sandbox when it does not run. Can be run again, and after
        the sandbox was restarted.
        """
        with _as_plug_failure():
            pid = self._boxes.ensure(instance, *_names(network_info))
            for port in network_info:
                self._wires.connect(instance, port, pid)

    def ensure(self, instance: objects.Instance,
               network_info: model.NetworkInfo) -> None:
        """Bring the instance's whole network to what Neutron says."""
        self.plug(instance, network_info)
        self.join(instance, network_info)

    def end(self, instance: objects.Instance) -> None:
        """End the network namespace: :meth:`join` begins another one.

        Can be run again. No workload may be in it.
        """
        self._boxes.stop(instance.uuid)

    def renew(self, instance: objects.Instance,
              network_info: model.NetworkInfo) -> None:
        """Make the ports anew, so that Neutron hears of them once more."""
        self.unplug(instance, network_info)
        self.ensure(instance, network_info)

    def restore(self, instance: objects.Instance,
                network_info: model.NetworkInfo,
                *then: Callable[[], None]) -> None:
        """Do :meth:`ensure` for Nova's start-up.

        A server that runs on without its sandbox keeps the ports it has:
        they can't be brought where another sandbox would not be.

        :param then: done after it
        :raises VirtualInterfacePlugException: whatever is wrong with a port
            or the sandbox: Nova then sets that one server to ERROR and
            starts all the same
        """
        try:
            if self._boxes.is_lost(instance.uuid):
                LOG.warning(_LOST, instance=instance)
                self.plug(instance, network_info)
                _take(then)
            else:
                self._ensure_and(instance, network_info, then)
        except (errors.EngineUnavailable,
                exception.VirtualInterfacePlugException):
            raise
        except (errors.EngineError, exception.NovaException) as error:
            raise exception.VirtualInterfacePlugException(
                str(error)) from error

    def attach(self, instance: objects.Instance, port: model.VIF,
               *then: Callable[[], None]) -> None:
        """Add one port; undone if it fails. :meth:`detach` is its twin.

        :param then: done when it is there; if one fails it goes again
        :raises InterfaceAttachFailed: the server runs on without its sandbox
        """
        if self._boxes.is_lost(instance.uuid):
            raise exception.InterfaceAttachFailed(_LOST)
        ports = model.NetworkInfo([port])
        try:
            self._ensure_and(instance, ports, then)
        except Exception:
            # What fails in undoing it is in the log, and hides nothing.
            with contextlib.suppress(
                    exception.VirtualInterfaceUnplugException):
                self.detach(instance, port)
            raise

    def _ensure_and(self, instance: objects.Instance,
                    network_info: model.NetworkInfo,
                    then: Iterable[Callable[[], None]]) -> None:
        self.ensure(instance, network_info)
        _take(then)

    def detach(self, instance: objects.Instance, port: model.VIF) -> None:
        """Take one port away; can be run again."""
        self.unplug(instance, model.NetworkInfo([port]))

    def remove(self, instance: objects.Instance,
               network_info: model.NetworkInfo) -> None:
        """Leave nothing of the instance's network; can be run again."""
        errors.take_all(
            lambda: self.unplug(instance, network_info),
            lambda: self._wires.unplug_forgotten(instance),
            lambda: self._boxes.remove(instance.uuid))


def _take(steps: Iterable[Callable[[], None]]) -> None:
    with _as_plug_failure():
        for step in steps:
            step()


def _names(network_info: model.NetworkInfo) -> tuple[list[str], list[str]]:
    """Return who resolves names, and what the server's own resolves to."""
    return (vif.nameservers(network_info),
            [ip['address'] for ip in network_info.fixed_ips()])
