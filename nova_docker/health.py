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

"""Takes the host out of scheduling while its engine does not answer.

As in Nova's own drivers, a host that an operator disabled stays so: only
what was disabled with our prefix is enabled again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from nova import context as nova_context
from nova import exception
from nova import objects

LOG = logging.getLogger(__name__)

#: Begins the reason that ``openstack compute service list --long`` shows.
PREFIX = 'AUTO: Docker Engine: '
_REASON_LENGTH = 255


class Health:
    """Keeps the compute service's state in step with the engine's.

    :param host: this compute service's host
    :param update_provider: VirtAPI.update_compute_provider_status, which
        keeps Placement in step
    """

    def __init__(self, host: Callable[[], str],
                 update_provider: Callable[[Any, str, bool], None]) -> None:
        self._host = host
        self._update_provider = update_provider
        #: How often this host had reported when that was first asked.
        self._reports: int | None = None

    def is_heard(self) -> bool:
        """Whether this nova-compute has reported since it was first asked.

        It does once it takes orders from the message queue.
        """
        try:
            service = objects.Service.get_by_compute_host(
                nova_context.get_admin_context(), self._host())
        except Exception as error:
            LOG.debug('What this host has reported is not known: %s', error)
            return False
        if self._reports is None:
            self._reports = service.report_count
        return bool(service.report_count > self._reports)

    def lost(self, reason: str) -> None:
        """Disable the host."""
        self._set(False, (PREFIX + reason)[:_REASON_LENGTH])

    def found(self) -> None:
        """Enable the host if it was us who disabled it."""
        self._set(True, None)

    def _set(self, enabled: bool, reason: str | None) -> None:
        try:
            self._update(nova_context.get_admin_context(), enabled, reason)
        except exception.ComputeHostNotFound:
            LOG.debug('This host is not registered yet.')
        except Exception:
            LOG.exception("The compute service's status could not be "
                          'updated.')

    def _update(self, context: Any, enabled: bool,
                reason: str | None) -> None:
        service = objects.Service.get_by_compute_host(context, self._host())
        ours = (service.disabled_reason or '').startswith(PREFIX)
        if service.disabled != enabled or (service.disabled and not ours):
            return
        service.disabled = not enabled
        service.disabled_reason = reason
        service.save()
        LOG.warning('This host is %s scheduling.',
                    'back in' if enabled else 'out of')
        self._update_provider(context, service.compute_node.uuid, enabled)
