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

"""What the demo project and the engine have, so that a session adds none."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from openstack import exceptions

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host


def keep(cleanup: Callable[..., Any]) -> None:
    """Have all removed at the end that is not there now.

    :param cleanup: unittest's addCleanup
    """
    cleanup(_remove_tags, set(host.tags()))
    for kind in reversed(_kinds()):
        cleanup(kind.remove_all_but, kind.ids())


class _Kind:
    """Things of one kind, which an API lists and deletes."""

    def __init__(self, proxy: Any, plural: str, singular: str,
                 **query: Any) -> None:
        self._list = getattr(proxy, plural)
        self._delete = getattr(proxy, f'delete_{singular}')
        self._plural = plural
        self._query = query

    def ids(self) -> set[str]:
        return {each.id.rpartition('/')[2]
                for each in self._list(**self._query)}

    def remove_all_but(self, kept: set[str]) -> None:
        """Delete what is not to be kept, as often as it takes."""
        clouds.wait_until(lambda: not self._removed(kept),
                          f'the {self._plural} of the session are gone')

    def _removed(self, kept: set[str]) -> set[str]:
        """Ask for a deletion, and return what was still there."""
        found = self.ids() - kept
        for each in found:
            try:
                self._delete(each, ignore_missing=True)
            except (exceptions.BadRequestException,
                    exceptions.ConflictException,
                    exceptions.ForbiddenException):
                # It is being deleted, or something has it yet.
                continue
        return found


def _kinds() -> list[_Kind]:
    """All kinds that the cloud has, in the order in which they can go."""
    demo, admin = clouds.connection('demo'), clouds.connection('admin')
    mine = {'project_id': demo.current_project_id}
    return [
        _Kind(demo.compute, 'servers', 'server'),
        _Kind(demo.network, 'ips', 'ip'),
        _Kind(demo.network, 'ports', 'port', device_id=''),
        _Kind(demo.network, 'routers', 'router', **mine),
        _Kind(demo.network, 'networks', 'network', **mine),
        _Kind(demo.network, 'security_groups', 'security_group', **mine),
        _Kind(demo.block_storage, 'snapshots', 'snapshot'),
        _Kind(demo.block_storage, 'volumes', 'volume'),
        *_seldom(demo, 'shared-file-system', 'shares', 'share'),
        *_seldom(demo, 'key-manager', 'secrets', 'secret'),
        _Kind(demo.image, 'images', 'image', owner=mine['project_id']),
        _Kind(demo.compute, 'keypairs', 'keypair'),
        _Kind(admin.compute, 'flavors', 'flavor'),
    ]


def _seldom(demo: Any, service: str, plural: str,
            singular: str) -> Iterator[_Kind]:
    """Give the kind of a service that not every cloud has, if it is there."""
    if demo.has_service(service):
        proxy = getattr(demo, service.replace('-', '_'))
        yield _Kind(proxy, plural, singular)


def _remove_tags(kept: set[str]) -> None:
    """Remove what the engine has got from the session."""
    for tag in _new_tags(kept):
        host.remove_reference(tag)


def _new_tags(kept: set[str]) -> Iterator[str]:
    yield from (tag for tag in host.tags() if tag not in kept)
