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

"""The stages of `up`, and all services: where everything is put together."""

import functools
from typing import Any

from dockenstack import contents
from dockenstack.host import database
from dockenstack.host import driver
from dockenstack.host import engine
from dockenstack.host import lxcfs
from dockenstack.host import messaging
from dockenstack.host import openvswitch
from dockenstack.host import packages
from dockenstack.host import python
from dockenstack.host import users
from dockenstack.images import recipes
from dockenstack.openstack import cinder
from dockenstack.openstack import common
from dockenstack.openstack import extras
from dockenstack.openstack import fake
from dockenstack.openstack import glance
from dockenstack.openstack import keystone
from dockenstack.openstack import neutron
from dockenstack.openstack import nova
from dockenstack.openstack import placement
from dockenstack.openstack import schema
from dockenstack.openstack import second
from dockenstack.service import Service
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.stages import Stage

PYTHON_PACKAGES = ('python3-venv', 'git', 'ca-certificates')
#: What a user needs besides `openstack`: README and guides use it.
USER_PACKAGES = ('openssh-client',)
HOST_PACKAGES = (*openvswitch.PACKAGES, *database.PACKAGES,
                 *messaging.PACKAGES, *lxcfs.PACKAGES, *common.PACKAGES,
                 *neutron.PACKAGES, *cinder.PACKAGES, *nova.PACKAGES,
                 *recipes.PACKAGES, *USER_PACKAGES)


def services(home: Home) -> list[Service]:
    """Every service, in the order in which they start."""
    return [
        database.service(home), messaging.rabbitmq(home),
        messaging.memcached(), openvswitch.database(home),
        openvswitch.switch(home), lxcfs.service(home), engine.service(home),
        keystone.service(home), glance.service(home),
        placement.service(home), *neutron.services(home),
        *cinder.services(home), *nova.services(home), nova.compute(home),
        *extras.services(home),
        *(second.services(home) if second.present(home).exists() else []),
        *(fake.services(home) if fake.wanted(home).exists() else [])]


class Plan:
    """The stages, each a short function of the modules that do the work."""

    def __init__(self, home: Home, supervisor: Supervisor,
                 with_fake: bool = False):
        self.home = home
        self.with_fake = with_fake
        self.supervisor = supervisor
        self.first: dict[str, Any] = {}

    def stages(self) -> list[Stage]:
        chosen = extras.chosen(self.home)
        return [
            Stage('python', self.python),
            Stage('packages', self.packages),
            Stage('engine', self.engine, ('packages',)),
            Stage('database', self.database, ('packages',)),
            Stage('messaging', self.messaging, ('packages',)),
            Stage('openvswitch', self.openvswitch, ('packages',)),
            Stage('lxcfs', self.lxcfs, ('packages',)),
            Stage('schema', self.schema, ('python', 'database')),
            Stage('keystone', self.keystone, ('schema', 'messaging')),
            Stage('glance', self.glance, ('keystone',)),
            Stage('placement', self.placement, ('keystone',)),
            Stage('neutron', self.neutron, ('keystone', 'openvswitch')),
            Stage('cinder', self.cinder, ('keystone',)),
            Stage('nova', self.nova, ('keystone',)),
            *(Stage(extra.name, functools.partial(self.extra, extra),
                    ('keystone',)) for extra in chosen),
            Stage('compute', self.compute,
                  ('nova', 'placement', 'neutron', 'glance', 'cinder',
                   'engine', 'lxcfs')),
            Stage('images', self.images, ('packages',)),
            Stage('provision', self.provision,
                  ('images', 'nova', 'neutron', 'glance', 'cinder')),
            Stage('server', self.server,
                  ('provision', 'compute',
                   *(extra.name for extra in chosen))),
            *([Stage('second-host', self.second, ('server',))]
              if second.wanted(self.home).exists()
              or second.present(self.home).exists() else []),
        ]

    def python(self) -> str:
        packages.install(PYTHON_PACKAGES)
        words = python.build(self.home)
        for extra in extras.chosen(self.home):
            if python.add(self.home, extra.name):
                words += f', {extra.name} added'
        if driver.install(self.home):
            words += ', driver installed'
        return words

    def packages(self) -> str:
        count = packages.install(
            (*HOST_PACKAGES, *extras.packages(self.home)))
        for extra in extras.chosen(self.home):
            extra.unpack(self.home)
        users.create(self.home)
        return f'{count} installed' if count else 'all there'

    def engine(self) -> str:
        return engine.start(self.home, self.supervisor)

    def database(self) -> str:
        database.prepare(self.home)
        self.supervisor.ensure(database.service(self.home))
        database.allow(self.home)
        return str(database.socket(self.home))

    def messaging(self) -> str:
        messaging.start(self.home, self.supervisor)
        return messaging.rabbitmq(self.home).address

    def openvswitch(self) -> str:
        if not self.supervisor.is_current(openvswitch.switch(self.home)):
            neutron.stop_agents(self.home, self.supervisor)
        return openvswitch.start(self.home, self.supervisor)

    def lxcfs(self) -> str:
        return lxcfs.start(self.home, self.supervisor)

    def schema(self) -> str:
        schema.configure(self.home)
        return schema.make(self.home)

    def keystone(self) -> str:
        return keystone.start(self.home, self.supervisor)

    def glance(self) -> str:
        return glance.start(self.home, self.supervisor)

    def placement(self) -> str:
        return placement.start(self.home, self.supervisor)

    def neutron(self) -> str:
        return neutron.start(self.home, self.supervisor)

    def cinder(self) -> str:
        return cinder.start(self.home, self.supervisor)

    def extra(self, extra: extras.Extra) -> str:
        return extra.start(self.home, self.supervisor)

    def nova(self) -> str:
        return nova.start(self.home, self.supervisor)

    def compute(self) -> str:
        words = nova.start_compute(self.home, self.supervisor)
        if self.with_fake:
            return f'{words}; {fake.start(self.home, self.supervisor)}'
        fake.remove(self.home, self.supervisor)
        return words

    def second(self) -> str:
        return second.have(self.home, self.supervisor)

    def images(self) -> str:
        return recipes.make(self.home)

    def provision(self) -> str:
        return contents.provision(self.home)

    def server(self) -> str:
        self.first = contents.first_server(self.home)
        if not self.first:
            return 'the first server was deleted, and stays so'
        return (f'{self.first["name"]} is {self.first["status"]} after '
                f'{self.first["seconds"]} s')
