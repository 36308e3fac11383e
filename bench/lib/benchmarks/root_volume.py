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

"""Measure a container whose root is a volume.

The volume is an ext4 file system on a loop device. A container is removed by
force while it runs, and another must have its data; then what such a container
does is timed against a plain one, in turns. The engine is this machine's
(DOCKER_HOST names another), with any storage driver. Run as root after
contrib/dockenstack/up, whose images it takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from nova_docker import elf
from nova_docker import privsep
from nova_docker.privsep import pivot
from nova_docker.rootvolume import gate
from nova_docker.rootvolume import layout

HOME = pathlib.Path(os.environ.get('DOCKENSTACK_HOME')
                    or '/var/lib/dockenstack')
NAME = 'nova-docker-bench-root'
IMAGE, GATE = f'{NAME}:image', f'{NAME}:gate'
SHELL = ('--interactive', '--tty', '--network', 'none')
#: What is done inside; the caches are dropped before the second.
INSIDE = {
    'write 128 MiB, with fsync':
        'dd if=/dev/zero of=/root/big bs=1M count=128 conv=fsync',
    'read it again, with cold caches': 'dd if=/root/big of=/dev/null bs=1M',
    'make 1000 small files':
        'mkdir /root/many; i=0; while [ $i -lt 1000 ]; do '
        'echo $i > /root/many/$i; i=$((i+1)); done; sync',
    'change the time of every file of the image':
        'find /usr /bin /lib -xdev -type f -exec touch {} +; sync',
}

Times = dict[str, float]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout.strip()


def docker(*arguments: str) -> str:
    return run('docker', *arguments)


def inside(command: str) -> str:
    return docker('exec', NAME, '/bin/sh', '-c', command)


@contextlib.contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times[name] = time.perf_counter() - begun


@contextlib.contextmanager
def volume(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Have a file system of its own, mounted as the driver mounts volumes."""
    disk, point = directory / 'disk', directory / 'volume'
    with disk.open('wb') as file:
        file.truncate(2 ** 30)
    run('mkfs.ext4', '-q', '-F', str(disk))
    point.mkdir()
    run('mount', '-o', 'loop,nodev', str(disk), str(point))
    try:
        yield point
    finally:
        run('umount', str(point))


@contextlib.contextmanager
def images() -> Iterator[None]:
    """Have an image with a shell, and the gate's."""
    before = docker('images', '--format',
                    '{{.Repository}}:{{.Tag}}').splitlines()
    loaded = docker('load', '--quiet', '--input', str(
        HOME / 'images' / 'ssh.tar')).removeprefix('Loaded image: ')
    docker('tag', loaded, IMAGE)
    subprocess.run(('docker', 'import', '-', GATE), check=True,
                   stdout=subprocess.DEVNULL, input=elf.archive(
                       {'gate': gate.executable(platform.machine())},
                       ['gate.fifo']))
    ours = {IMAGE, GATE, loaded} - set(before)
    try:
        yield
    finally:
        docker('rmi', *ours)


def create(place: pathlib.Path) -> None:
    """Create a container that a directory of the volume is the root of."""
    docker('create', '--name', NAME, *SHELL, '--mount',
           f'type=bind,source={place},target={layout.PLACE}',
           '--entrypoint', gate.PROGRAM, GATE, '/bin/sh')


def enter(place: pathlib.Path) -> None:
    """Put the volume in the place of the root, as the driver does."""
    pid = docker('inspect', '--format', '{{.State.Pid}}', NAME)
    pivot.enter(int(pid), str(place), layout.PLACE, ['/sbin/docker-init'],
                gate.PIPE, '/bin/sh', ['/bin'], '/')


def unpack() -> None:
    """Copy the image's files onto the volume, by the engine."""
    source = docker('create', IMAGE, '/bin/sh')
    try:
        with subprocess.Popen(('docker', 'cp', f'{source}:/.', '-'),
                              stdout=subprocess.PIPE) as export:
            subprocess.run(('docker', 'cp', '-', f'{NAME}:{layout.PLACE}'),
                           check=True, stdin=export.stdout)
    finally:
        docker('rm', source)


def end() -> None:
    """Remove the container, which may run, and not what is on the volume."""
    with contextlib.suppress(subprocess.CalledProcessError):
        docker('rm', '--force', NAME)


def life(make: Callable[[], None], prepare: Callable[[Times], None],
         go_on: Callable[[], None]) -> Times:
    """Return the seconds of what a container does.

    :param make: creates it
    :param prepare: is called before its first start
    :param go_on: is called after each start
    """
    times: Times = {}
    try:
        with timed(times, 'create'):
            make()
        prepare(times)
        with timed(times, 'start'):
            docker('start', NAME)
            go_on()
        with timed(times, 'exec'):
            inside('true')
        for name, command in INSIDE.items():
            os.sync()
            if 'cold' in name:
                pathlib.Path('/proc/sys/vm/drop_caches').write_text('1')
            with timed(times, name):
                inside(command)
        docker('kill', NAME)
        docker('wait', NAME)
        with timed(times, 'start again, after a kill'):
            docker('start', NAME)
            go_on()
    finally:
        end()
    return times


def plain() -> Times:
    return life(lambda: void(docker('create', '--name', NAME, *SHELL, IMAGE,
                                    '/bin/sh')),
                lambda times: None, lambda: None)


def void(_output: str) -> None:
    """Take what a command says."""


def on_volume(place: pathlib.Path) -> Times:
    """The same of a container whose root is a new directory."""
    def prepare(times: Times) -> None:
        with timed(times, 'unpack the image, once'):
            unpack()
            os.sync()

    place.mkdir(parents=True)
    try:
        return life(lambda: create(place), prepare, lambda: enter(place))
    finally:
        shutil.rmtree(place)


def survives(place: pathlib.Path) -> bool:
    """Tell whether a second container has the data of the first."""
    place.mkdir(parents=True)
    try:
        create(place)
        unpack()
        docker('start', NAME)
        enter(place)
        inside('echo kept > /root/data; mkdir /new; rm /bin/ping')
        docker('rm', '--force', NAME)
        create(place)
        docker('start', NAME)
        enter(place)
        return inside('cat /root/data; ls -d /new; '
                      'test -e /bin/ping || echo gone'
                      ).split() == ['kept', '/new', 'gone']
    finally:
        end()


def measure(count: int) -> bool:
    with (tempfile.TemporaryDirectory(dir=HOME) as directory,
          volume(pathlib.Path(directory)) as point, images()):
        def place(name: str) -> pathlib.Path:
            """The driver enters what can be a root disk, and nothing else."""
            return point / str(uuid.uuid4()) / 'root' / name / 'root'

        good = survives(place('first'))
        print(f'data after "docker rm --force": {"kept" if good else "LOST"}')
        simple, laid = [], []
        for number in range(count):
            simple.append(plain())
            laid.append(on_volume(place(str(number))))
    for name in laid[0]:
        ours, theirs = (
            f'{statistics.median(each[name] for each in samples):.2f} s'
            if name in samples[0] else '' for samples in (laid, simple))
        print(f'{name:<44} on a volume {ours:>7}   plain {theirs:>7}')
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='root-volume', description=__doc__)
    parser.add_argument('--count', type=int, default=5,
                        help='turns of which the medians are taken')
    arguments = parser.parse_args()
    privsep.root_pctxt.set_client_mode(False)
    return 0 if measure(arguments.count) else 1


if __name__ == '__main__':
    sys.exit(main())
