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

"""Projects that a cloud has only if somebody asks: `up --with`."""

from collections.abc import Callable
import dataclasses

from dockenstack.host import criu
from dockenstack.openstack import barbican
from dockenstack.openstack import common
from dockenstack.openstack import horizon
from dockenstack.openstack import keystone
from dockenstack.openstack import manila
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.stamp import Stamp


def _nothing(home: Home) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Extra:
    """One of them: what the cloud's own projects have, and its packages.

    Those are locked in `extras` beside lock.txt, in a file of its name.
    """

    name: str
    #: What the catalogue calls such a service, and what follows its address;
    #: nothing if it is no API.
    kind: str = ''
    path: str = ''
    configure: Callable[[Home], None] = _nothing
    #: What makes its database; nothing if it has none.
    sync: Callable[[Home], None] | None = None
    services: Callable[[Home], list[Service]] = lambda home: []
    #: What it needs in the cloud once it runs.
    provide: Callable[[Home], None] = _nothing
    #: What it needs before it runs.
    prepare: Callable[[Home], None] = _nothing
    #: Debian's packages.
    packages: tuple[str, ...] = ()
    #: What has more of them, and installs none.
    unpack: Callable[[Home], None] = _nothing

    def start(self, home: Home, supervisor: Supervisor) -> str:
        services = self.services(home)
        if self.kind:
            self._register(home)
        self.prepare(home)
        for service in services:
            supervisor.ensure(service)
        self.provide(home)
        return services[0].address + self.path if services else 'installed'

    def _register(self, home: Home) -> None:
        url = settings.url(self.name) + self.path
        stamp = Stamp(home, f'keystone-{self.name}')
        # To be registered again ends the tokens that users have.
        if not stamp.holds(url):
            keystone.register(home, {self.name: (self.kind, url)})
            stamp.set(url)


EXTRAS = {extra.name: extra for extra in (
    Extra('barbican', 'key-manager', '', barbican.configure, barbican.sync,
          barbican.services),
    Extra('manila', 'shared-file-system', '/v2', manila.configure,
          manila.sync, manila.services, manila.provide),
    Extra(horizon.NAME, configure=horizon.configure,
          services=horizon.services, provide=horizon.describe,
          prepare=horizon.collect, packages=horizon.PACKAGES),
    # What the tests drive Horizon with: Chromium, a font for terminals, and
    # what Playwright's own program needs.
    Extra('browser', packages=('chromium', 'fonts-dejavu-core',
                               'libatomic1')),
    # With it an engine of ours can write suspended servers to disk.
    Extra('criu', unpack=criu.unpack),
)}


def chosen(home: Home) -> list[Extra]:
    """Those that this cloud has."""
    return [extra for extra in EXTRAS.values()
            if common.wanted(home, extra.name).exists()]


def packages(home: Home) -> list[str]:
    return [name for extra in chosen(home) for name in extra.packages]


def services(home: Home) -> list[Service]:
    return [service for extra in chosen(home)
            for service in extra.services(home)]
