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

"""Make the databases of all services, side by side."""

from collections.abc import Callable
import concurrent.futures
import os

from dockenstack.host import database
from dockenstack.host import python
from dockenstack.openstack import cinder
from dockenstack.openstack import extras
from dockenstack.openstack import glance
from dockenstack.openstack import keystone
from dockenstack.openstack import neutron
from dockenstack.openstack import nova
from dockenstack.openstack import placement
from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

# The longest first, so that none is left to run alone at the end.
SERVICES: dict[str, tuple[tuple[str, ...], Callable[[Home], None]]] = {
    'neutron': (('neutron',), neutron.sync),
    'nova': (nova.SCHEMAS, nova.sync),
    'keystone': (('keystone',), keystone.sync),
    'cinder': (('cinder',), cinder.sync),
    'glance': (('glance',), glance.sync),
    'placement': (('placement',), placement.sync),
}


def configure(home: Home) -> None:
    for service in (keystone, glance, placement, neutron, cinder, nova):
        service.configure(home)
    for extra in extras.chosen(home):
        extra.configure(home)


def make(home: Home) -> str:
    """Have every database at the version of the installed code."""
    everything = {**SERVICES, **{
        extra.name: ((extra.name,), extra.sync)
        for extra in extras.chosen(home) if extra.sync}}
    behind = [name for name in everything
              if not Stamp(home, f'schema-{name}').holds(_code(home, name))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda name: _make(home, name, *everything[name]),
                      behind))
    return f'{len(behind)} made' if behind else 'up to date'


def _code(home: Home, name: str) -> str:
    """Tells one version of a project's code from another."""
    added = python.added(home, name)
    return (added if added.exists() else Stamp(home, 'venv')).path.read_text()


def _make(home: Home, name: str, schemas: tuple[str, ...],
          sync: Callable[[Home], None]) -> None:
    stamp = Stamp(home, f'schema-{name}')
    with shell.logging_to(home.log / f'schema-{name}.log'):
        if not stamp.exists():
            # A migration killed half way through cannot go on: MariaDB does
            # not undo its changes to tables.
            for schema in schemas:
                database.recreate(home, schema)
        sync(home)
    stamp.set(_code(home, name))
