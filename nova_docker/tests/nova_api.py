# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""nova-compute's side of the driver's contract, as far as a test needs it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import inspect
from typing import Any

from nova import exception
from nova import objects
from nova.virt import driver
from nova.virt import virtapi

from nova_docker import driver as docker_driver
from nova_docker.tests import base

#: Methods that have come to Nova, or got a parameter that can be left out,
#: after the oldest Nova that the driver works with. An older one does not
#: call them so, and what is more than it knows does no harm.
_LATER = ('finish_migration', 'finish_revert_migration', 'is_share_mounted')


def base_class() -> type[driver.ComputeDriver]:
    """Return Nova's base class, with what later ones have."""
    ours = {name: getattr(docker_driver.DockerDriver, name)
            for name in _LATER}
    return type('ComputeDriver', (driver.ComputeDriver,), {
        name: method for name, method in ours.items()
        if _is_later(method, getattr(driver.ComputeDriver, name, None))})


def _is_later(method: Any, known: Any) -> bool:
    """Tell if a method takes every call of one that Nova knows, and more."""
    if known is None:
        return True
    own, novas = (list(inspect.signature(each).parameters.values())
                  for each in (method, known))
    more = own[len(novas):]
    return bool(more) and [(each.name, each.default) for each in novas] == [
        (each.name, each.default) for each in own[:len(novas)]
    ] and all(each.default is not each.empty for each in more)


class VirtAPI(virtapi.VirtAPI):
    """Neutron's events come at once, or as a test says.

    :param failure: comes instead of the events
    """

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.expected: list[tuple[str, str]] = []
        self.enabled: list[bool] = []
        #: They come once this is so.
        self.when: Callable[[], bool] = lambda: True

    @contextlib.contextmanager
    def wait_for_instance_event(
            self, instance: objects.Instance,
            event_names: Sequence[tuple[str, str]], timeout: int = 300,
            error_callback: Callable[..., Any] | None = None
    ) -> Iterator[None]:
        """As Nova's: the wait comes after the work inside."""
        self.expected = list(event_names)
        yield
        if not self.expected:
            return
        base.wait_until(self.when, 'the events come')
        if isinstance(self.failure, exception.InstanceEventTimeout):
            raise self.failure
        if self.failure is not None and error_callback is not None:
            name, tag = self.expected[0]
            error_callback(f'{name}-{tag}', instance)

    def update_compute_provider_status(self, context: Any, rp_uuid: str,
                                       enabled: bool) -> None:
        """Remember what was said."""
        self.enabled.append(enabled)
