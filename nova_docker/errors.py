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

"""Our exceptions, and the one wall that turns engine errors into Nova's.

Inside the package an engine failure is an :class:`EngineError`, classified
by status in ``engine/``. Nothing of it leaves the driver: every public
method of the facade stands behind :func:`wall`.
"""

from collections.abc import Callable
import functools
import inspect
from typing import Any
from typing import TypeVar

from nova import exception
from nova import objects
from nova import utils
from oslo_concurrency import processutils
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Nova's events did not come in time. Nova 31 has no exception of its own for
#: that, but one of eventlet's, which it has to import for its threads.
EVENT_TIMEOUT: type[BaseException] = getattr(
    exception, 'InstanceEventTimeout', None) or utils.eventlet.Timeout


class EngineError(Exception):
    """The engine refused a request or failed at it.

    :param message: the engine's own words
    :param status: the HTTP status of its answer; 0 when there was none
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class EngineBadRequest(EngineError):
    """The engine found a request wrong (400): it names what is."""


class EngineNotFound(EngineError):
    """No such container or image (404)."""


class EngineConflict(EngineError):
    """The name is taken or the state does not allow it (409)."""


class EngineUnavailable(EngineError):
    """The engine does not answer, or not in time."""


class UnsupportedVif(exception.InvalidInput):
    """A port whose VIF type this driver has no wiring for."""

    msg_fmt = ("Network port of VIF type '%(vif_type)s' can't be given to a "
               "container: only 'ovs' (Open vSwitch and OVN) is supported.")


class TrunkParent(UnsupportedVif):
    """A port whose subports would be VLAN devices made inside."""

    msg_fmt = ("Network port %(port)s is the parent of a trunk: a container "
               "has no VLAN devices of its own. Attach the trunk's subports "
               "as ports of their own instead.")


class BadSetting(exception.InvalidInput):
    """A server, image or flavor key whose value can't be used."""

    msg_fmt = "%(source)s '%(key)s': %(reason)s"


class BadInjectedFile(exception.InvalidInput):
    """A file given with the server that can't be put where it belongs."""

    msg_fmt = "File '%(path)s' can't be put into the server: %(reason)s"


class UnsuitableVolume(exception.InvalidInput):
    """A volume that can't be given to a container as it is."""

    msg_fmt = "Volume %(volume)s can't be attached: %(reason)s"


class NoContainer(exception.InstanceInvalidState):
    """A server whose container somebody has removed from the engine.

    Nova records no fault of an instance that is not found, or takes it for
    deleted, so that is a failure of whatever needs the container.
    """

    msg_fmt = ("Its container is not in the engine any more, nor is what was "
               "on its root disk, unless that is a volume. Rebuild the server "
               "to make another.")


def output(error: Exception) -> str:
    """Return what went wrong, without a command and its passwords."""
    if isinstance(error, processutils.ProcessExecutionError):
        return ' '.join((error.stderr or error.stdout or '').split())
    return str(error)


def _instance_id(error: EngineError, instance: Any) -> str:
    return instance.uuid if instance is not None else error.message


def _unavailable(error: EngineError, instance: Any) -> Exception:
    return exception.HypervisorUnavailable(
        f'Docker Engine does not answer: {error.message}')


def _absent(error: EngineError, instance: Any) -> Exception:
    return exception.InstanceNotFound(
        instance_id=_instance_id(error, instance))


def _failed(error: EngineError, instance: Any) -> Exception:
    return exception.InternalError(f'Docker Engine: {error.message}')


#: The most specific entry wins, so subclasses stand before their bases.
_TABLE: tuple[tuple[type[EngineError], Callable[..., Exception]], ...] = (
    (EngineUnavailable, _unavailable),
    (EngineNotFound, _absent),
    (EngineError, _failed),
)


def translate(error: EngineError, instance: Any = None) -> Exception:
    """Return Nova's exception for an engine error.

    :param error: what the engine package raised
    :param instance: the nova.objects.Instance at hand, if there is one
    """
    return next(make(error, instance) for kind, make in _TABLE
                if isinstance(error, kind))


def take_all(*steps: Callable[[], None]) -> None:
    """Take every step of a cleanup, past errors; raise the first of them.

    :param steps: each can be taken again
    """
    first: Exception | None = None
    for step in steps:
        try:
            step()
        except Exception as error:
            LOG.warning('Cleaning up goes on after an error: %s', error)
            first = first or error
    if first is not None:
        raise first


def _guarded(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def guard(*args: Any, **kwargs: Any) -> T:
        try:
            return method(*args, **kwargs)
        except EngineError as error:
            given = [*args, *kwargs.values()]
            instance = next((value for value in given
                             if isinstance(value, objects.Instance)), None)
            raise translate(error, instance) from error
    # Nova's signature test does not look through a wrapper.
    guard.__signature__ = inspect.signature(method)  # type: ignore
    return guard


def wall(driver: type[T]) -> type[T]:
    """Class decorator: no engine error passes a public method."""
    for name, method in list(vars(driver).items()):
        if inspect.isfunction(method) and not name.startswith('_'):
            setattr(driver, name, _guarded(method))
    return driver
