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

"""Servers through Nova, beside servers of its fake driver: the floor.

Both kinds get a port each from the same cloud. Nova's fake driver starts
nothing, and does not wait until Neutron has wired the port.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import re
import time
from typing import Any
import uuid

import openstack
import process

from benchmarks import figures

#: Ours may take so many seconds more than the fake driver.
GOAL = 1.0
#: Seconds for anything to happen.
_PATIENCE = 300
_POLL = 0.1
#: What nova-compute's log says of a server, in the order of the events.
_STEPS = {
    'spawn': 'seconds to spawn the instance',
    '  wait for Neutron': 'seconds to wait for Neutron',
    'build': 'seconds to build instance',
    'destroy': 'seconds to destroy the instance',
    'release its port': 'seconds to deallocate network',
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """One of the drivers to compare.

    :param zone: the availability zone whose host has it
    :param log: of its nova-compute
    """

    zone: str
    image: str
    log: pathlib.Path


@dataclasses.dataclass
class Times:
    """What was measured of a driver, in seconds."""

    boots: list[float] = dataclasses.field(default_factory=list)
    deletes: list[float] = dataclasses.field(default_factory=list)
    servers: list[str] = dataclasses.field(default_factory=list)


class Cloud:
    """Boots and deletes servers, through Nova's API alone.

    :param flavor: name of their flavor
    :param network: name of their network
    """

    def __init__(self, flavor: str, network: str) -> None:
        self._sdk = openstack.connect(cloud='demo')
        self._api = self._sdk.compute
        self._flavor = self._api.find_flavor(flavor, ignore_missing=False).id
        self._network = self._sdk.network.find_network(
            network, ignore_missing=False).id
        self._name = f'bench-{uuid.uuid4().hex[:8]}'

    def image(self, name: str) -> str:
        """Return the id of an image."""
        found: str = self._sdk.image.find_image(name, ignore_missing=False).id
        return found

    def boot(self, kind: Kind, count: int) -> tuple[float, list[str]]:
        """Boot servers with one request.

        :returns: seconds until the last is ACTIVE, and their ids
        """
        begun = time.perf_counter()
        self._checked(self._api.post('/servers', json={'server': {
            'name': self._name, 'imageRef': kind.image,
            'flavorRef': self._flavor, 'networks': [{'uuid': self._network}],
            'availability_zone': kind.zone,
            'min_count': count, 'max_count': count}}))
        for _ in _patiently(f'{count} servers are ACTIVE'):
            servers = self._servers()
            failed = [each for each in servers if each['status'] == 'ERROR']
            if failed:
                raise RuntimeError(f'server {failed[0]["id"]} failed: '
                                   f'{failed[0].get("fault")}')
            if [each['status'] for each in servers] == ['ACTIVE'] * count:
                break
        return (time.perf_counter() - begun,
                [each['id'] for each in servers])

    def delete(self) -> float:
        """Delete all that were booted; return seconds until they are gone."""
        begun = time.perf_counter()
        for each in self._servers():
            self._api.delete(f'/servers/{each["id"]}')
        for _ in _patiently('the servers are gone'):
            if not self._servers():
                break
        return time.perf_counter() - begun

    def _servers(self) -> list[dict[str, Any]]:
        answer = self._checked(self._api.get(
            '/servers/detail', params={'name': self._name}))
        found: list[dict[str, Any]] = answer.json()['servers']
        return found

    @staticmethod
    def _checked(answer: Any) -> Any:
        openstack.exceptions.raise_from_response(answer)
        return answer


def _patiently(expected: str) -> Iterator[None]:
    """Yield until the caller has seen what it waits for."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL)
    raise TimeoutError(f'not within {_PATIENCE} s: {expected}')


def _measure(cloud: Cloud, kinds: Sequence[Kind], count: int,
             rounds: int) -> list[Times]:
    """Boot ``count`` servers at a time, the drivers in turns."""
    taken = [Times() for _ in kinds]
    for _round in range(rounds):
        for kind, times in zip(kinds, taken, strict=True):
            took, servers = cloud.boot(kind, count)
            times.boots.append(took)
            times.servers += servers
            times.deletes.append(cloud.delete())
    return taken


def _steps(kind: Kind, servers: Sequence[str]) -> dict[str, list[float]]:
    """Return what nova-compute says of the time that each step took."""
    log = kind.log.read_text(errors='replace')
    found: dict[str, list[float]] = {step: [] for step in _STEPS}
    for step, words in _STEPS.items():
        for match in re.finditer(
                rf'\[instance: (\S+)\] Took ([0-9.]+) {words}', log):
            if match[1] in servers:
                found[step].append(float(match[2]))
    return found


def _row(title: str, ours: Sequence[float],
         theirs: Sequence[float]) -> list[object]:
    difference = (figures.median(ours) - figures.median(theirs)
                  if ours and theirs else '')
    return [title, *(figures.median(each) if each else ''
                     for each in (ours, theirs)), difference]


def _rows(title: str, kinds: Sequence[Kind],
          taken: Sequence[Times]) -> list[list[object]]:
    rows = [_row(f'boot, {title}', *(each.boots for each in taken)),
            _row(f'delete, {title}', *(each.deletes for each in taken))]
    steps = [_steps(kind, times.servers)
             for kind, times in zip(kinds, taken, strict=True)]
    return rows + [_row(f'  {step}', *(each[step] for each in steps))
                   for step in _STEPS]


def _kinds(cloud: Cloud, image: str) -> list[Kind]:
    log = pathlib.Path(os.environ['DOCKENSTACK_HOME']) / 'log'
    return [Kind('nova', cloud.image(image), log / 'nova-compute.log'),
            Kind('fake', cloud.image('fake'), log / 'nova-compute-fake.log')]


def main() -> int:
    """Print the figures; 1 if they miss the goal."""
    parser = argparse.ArgumentParser(
        prog='boot', description=__doc__,
        epilog='The cloud is that of contrib/dockenstack/up --with-fake.')
    parser.add_argument('--count', type=int, default=10,
                        help='servers one after the other')
    parser.add_argument('--at-once', type=int, default=8,
                        help='servers in one request')
    parser.add_argument('--rounds', type=int, default=3,
                        help='how often those are')
    parser.add_argument('--image', default='busybox', help='what ours boot')
    parser.add_argument('--flavor', default='m1.nano')
    parser.add_argument('--network', default='private')
    options = parser.parse_args()
    process.raise_on_signals()
    cloud = Cloud(options.flavor, options.network)
    kinds = _kinds(cloud, options.image)
    with contextlib.ExitStack() as stack:
        stack.callback(cloud.delete)
        _measure(cloud, kinds, 1, 1)  # What is only slow once is not meant.
        single = _measure(cloud, kinds, 1, options.count)
        several = _measure(cloud, kinds, options.at_once, options.rounds)
    rows = _rows('one at a time', kinds, single)
    difference = rows[0][-1]
    rows += _rows(f'{options.at_once} in one request', kinds, several)
    print(figures.table(
        ['seconds, median', 'driver', 'fake', 'difference'], rows))
    good = float(str(difference)) <= GOAL
    print(f'The goal is at most {GOAL} s more than the fake driver for one '
          f'boot: {"reached" if good else "MISSED"}.')
    return int(not good)


if __name__ == '__main__':
    raise SystemExit(main())
