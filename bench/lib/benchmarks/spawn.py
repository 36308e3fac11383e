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

"""A spawn against what the engine alone needs for the same containers."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import functools
import itertools
import logging
from unittest import mock
import uuid

import docker
from nova.network import model
from nova import objects
from nova.virt import fake
import process

from benchmarks import figures
from benchmarks import host
from nova_docker import driver
from nova_docker.engine import client
from nova_docker.instances import devices
from nova_docker import names
from nova_docker.tests import base
from nova_docker.tests.functional import base as images
from nova_docker.tests.functional.network import ports as neutron

#: Ours may take so many times what the engine alone takes.
GOAL = 1.3
_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFake demo'
_ENGINE_CALLS = {name: name for name in (
    'container', 'create', 'image', 'info', 'read_archive', 'start', 'stat',
    'write_archive')}


class Driver:
    """Servers by the driver, each with a port and a key pair.

    :param engine_url: where they run
    """

    def __init__(self, engine_url: str) -> None:
        # It asks Nova's database, and there is none.
        with mock.patch.object(devices, 'tag', autospec=True):
            self._driver = driver.DockerDriver(fake.FakeVirtAPI())
        self._driver.init_host('bench')
        self._image = objects.ImageMeta(id=str(uuid.uuid4()))
        self._numbers = itertools.cycle(range(1, 201))
        client.Engine(engine_url).import_image(
            [images.root_file_system()],
            names.image_reference(self._image.id), ['CMD ["/bin/sh"]'])

    @property
    def image(self) -> str:
        """The engine's name of the image that they run."""
        return names.image_reference(self._image.id)

    def new(self) -> '_Server':
        """Return a server that is still to be spawned."""
        number = next(self._numbers)
        instance = base.make_instance(
            id=number, image_ref=self._image.id, key_data=_KEY)
        ports = model.NetworkInfo([neutron.make_vif(number)])
        return _Server(
            functools.partial(self._driver.spawn, None, instance, self._image,
                              [], None, {}, ports),
            functools.partial(self._driver.destroy, None, instance, ports))

    def close(self) -> None:
        """End the driver's threads."""
        self._driver.cleanup_host('bench')


class _Server:
    def __init__(self, spawn: Callable[[], object],
                 destroy: Callable[[], object]) -> None:
        self.spawn = spawn
        self.destroy = destroy


class Raw:
    """The two containers of a server, by plain calls of the Docker SDK.

    :param engine_url: where they run
    :param image: of the workload
    """

    def __init__(self, engine_url: str, image: str) -> None:
        self._client = docker.APIClient(base_url=engine_url, version='auto',
                                        max_pool_size=32)
        self._image = image

    def new(self) -> _Server:
        """Return a pair of containers that is still to be made."""
        made: list[str] = []
        return _Server(functools.partial(self._run_both, made),
                       functools.partial(self._remove, made))

    def _run_both(self, made: list[str]) -> None:
        made.append(self._run(names.SANDBOX_IMAGE, 'none'))
        made.append(self._run(self._image, f'container:{made[0]}', tty=True,
                              stdin_open=True))

    def _run(self, image: str, network_mode: str, **options: bool) -> str:
        container: str = self._client.create_container(
            image, host_config=self._client.create_host_config(
                network_mode=network_mode, init='tty' in options),
            **options)['Id']
        self._client.start(container)
        return container

    def _remove(self, made: list[str]) -> None:
        for container in reversed(made):
            self._client.remove_container(container, v=True, force=True)


def _one_by_one(makers: Sequence[Driver | Raw],
                count: int) -> list[list[tuple[float, float]]]:
    """Return each maker's times of birth and death, taken in turns."""
    taken: list[list[tuple[float, float]]] = [[] for _ in makers]
    for _round in range(count):
        for times, maker in zip(taken, makers, strict=True):
            server = maker.new()
            times.append((figures.seconds(server.spawn),
                          figures.seconds(server.destroy)))
    return taken


def _together(makers: Sequence[Driver | Raw], count: int,
              rounds: int) -> list[list[tuple[float, float]]]:
    """The same, where ``count`` servers are born and die together."""
    taken: list[list[tuple[float, float]]] = [[] for _ in makers]
    for _round in range(rounds):
        for times, maker in zip(taken, makers, strict=True):
            servers = [maker.new() for _ in range(count)]
            times.append((
                figures.seconds_together([each.spawn for each in servers]),
                figures.seconds_together([each.destroy for each in servers])))
    return taken


def _rows(title: str, ours: Sequence[tuple[float, float]],
          raw: Sequence[tuple[float, float]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for act, mine, theirs in zip(('spawn', 'destroy'), zip(*ours, strict=True),
                                 zip(*raw, strict=True), strict=True):
        medians = figures.median(mine), figures.median(theirs)
        rows.append([f'{act}, {title}', *medians,
                     f'{medians[0] / medians[1]:.2f}'])
    return rows


def _engine_calls(server: _Server) -> str:
    with figures.counted(client.Engine, _ENGINE_CALLS) as calls:
        server.spawn()
    server.destroy()
    each = ', '.join(f'{calls.count(name)} {name}' if calls.count(name) > 1
                     else name for name in dict.fromkeys(calls))
    return f'{len(calls)} calls of the engine in a spawn: {each}'


def _measure(engine_url: str, options: argparse.Namespace) -> float:
    ours = Driver(engine_url)
    try:
        makers = ours, Raw(engine_url, ours.image)
        _one_by_one(makers, 2)  # What is only slow once is not meant.
        rows = _rows('one at a time', *_one_by_one(makers, options.count))
        rows += _rows(f'{options.at_once} at once', *_together(
            makers, options.at_once, options.rounds))
        print(figures.table(
            ['seconds, median', 'driver', 'raw', 'ratio'], rows))
        print(_engine_calls(ours.new()))
        return float(str(rows[0][-1]))
    finally:
        ours.close()


def main() -> int:
    """Print the figures; 1 if they miss the goal."""
    parser = argparse.ArgumentParser(prog='spawn', description=__doc__)
    parser.add_argument('--count', type=int, default=20,
                        help='servers one after the other')
    parser.add_argument('--at-once', type=int, default=8,
                        help='servers at the same time')
    parser.add_argument('--rounds', type=int, default=5,
                        help='how often those are')
    options = parser.parse_args()
    process.raise_on_signals()
    # There is no Nova that could be told of the engine's health.
    logging.disable(logging.CRITICAL)
    with host.engine() as url, host.compute(url):
        ratio = _measure(url, options)
    print(f'The goal is a ratio of {GOAL} for one spawn: '
          f'{"reached" if ratio <= GOAL else "MISSED"}.')
    return int(ratio > GOAL)


if __name__ == '__main__':
    raise SystemExit(main())
