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

"""What each stage of contrib/test runs, and on what."""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Iterator
import contextlib
import os
import re
import shlex
import shutil
import subprocess

import debian
from dockenstack import SECOND_HOST
import machine
from outcome import Outcome
import workshop
from workshop import Workshop

_HOOK = re.compile(r'^(?P<name>.+?)\.{3,}.*(?P<result>Passed|Failed|Skipped)$',
                   re.MULTILINE)

#: Environments of tox, each with a release of Nova.
RELEASES = ('nova31', 'nova32', 'nova33', 'nova34')


def lint(shop: Workshop) -> Outcome:
    """ruff, hacking, mypy, shellcheck, bashate, documentation"""
    shop.cloud.up('python')
    cache = shop.logs / 'pre-commit'
    status = shop.run(
        'lint', 'pre-commit', 'run', '--all-files', '--color', 'never',
        '--show-diff-on-failure', '--hook-stage', 'manual', minutes=10,
        PRE_COMMIT_HOME=os.fspath(cache), MYPY_CACHE_DIR=f'{cache}/mypy',
        RUFF_CACHE_DIR=f'{cache}/ruff')
    shutil.rmtree(cache, ignore_errors=True)
    result = Outcome()
    for hook in _HOOK.finditer(shop.log('lint').read_text(errors='replace')):
        if hook['result'] == 'Passed':
            result.passed += 1
        else:
            result.failed.append(f'{hook["name"]} ({hook["result"]})')
    if status and not result.failed:
        result.failed.append(f'pre-commit (exit status {status})')
    return result


def unit(shop: Workshop) -> Outcome:
    """nova_docker/tests/unit: no engine, no network"""
    shop.cloud.up('python')
    return shop.run_tests('unit', minutes=20)


def _prepare_host(shop: Workshop) -> None:
    """Have what an engine and a switch of the tests' own need.

    They are not the cloud's, but its stages install the programs, and mount
    control groups where nothing did.
    """
    shop.cloud.up('engine')
    shop.cloud.up('openvswitch')


def functional(shop: Workshop) -> Outcome:
    """nova_docker/tests/functional: an engine, os-vif, Open vSwitch"""
    _prepare_host(shop)
    with shop.engine.running(shop.env):
        return shop.run_tests('functional', '--concurrency', '1', minutes=40,
                              DOCKER_HOST=shop.engine.url)


def conformance(shop: Workshop) -> Outcome:
    """nova_docker/tests/conformance: Nova's own suites, on the same"""
    _prepare_host(shop)
    with shop.engine.running(shop.env):
        return shop.run_tests('conformance', '--concurrency', '1', minutes=40,
                              DOCKER_HOST=shop.engine.url)


def matrix(shop: Workshop) -> Outcome:
    """the conformance tests beside each release of Nova (with --all)"""
    _prepare_host(shop)
    result = Outcome()
    with shop.engine.running(shop.env):
        for release in RELEASES:
            result.add(_beside(shop, release))
    return result


def _beside(shop: Workshop, release: str) -> Outcome:
    work = shop.logs / 'tox'
    shutil.rmtree(work, ignore_errors=True)
    status = shop.run(
        'matrix', 'tox', 'run', '--workdir', work, '-e', release, minutes=60,
        DOCKER_HOST=shop.engine.url, TOX_DISCOVER='/usr/bin/python3',
        PBR_VERSION='0.0.0')
    counted = shop.count('matrix', 'stestr', '--repo-url',
                         os.fspath(work / release / 'tmp'), 'last',
                         '--subunit')
    if status and not counted.failed:
        counted.failed.append(f'tox (exit status {status})')
    counted.failed = [f'{release}: {each}' for each in counted.failed]
    shutil.rmtree(work, ignore_errors=True)
    return counted


def kernel(shop: Workshop) -> Outcome:
    """nova_docker/tests/kernel: storage, on Debian's kernel (with --all)"""
    shop.cloud.up('python')
    job = shop.logs / 'kernel'
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    guest = machine.Machine(shop.logs / 'machine', shop.env,
                            shop.log('kernel'))
    for name in ('listed', 'subunit'):
        (job / name).touch()
    guest.prepare()
    status = guest.run(_in_guest(shop), (shop.source, shop.cloud.venv), job,
                       minutes=90)
    result = shop.count('kernel', 'cat', f'{job}/subunit',
                        listed=(job / 'listed').read_text().splitlines())
    if status and not result.failed:
        result.failed.append(f'the virtual machine (exit status {status})')
    return result


def _in_guest(shop: Workshop) -> str:
    """Return a script that runs the tests and leaves their results."""
    stestr = workshop.stestr('kernel', '/root/stestr')
    path = shlex.quote(f'{shop.cloud.venv}/bin')
    return '\n'.join((
        f'export PATH={path}:$PATH HOME=/root LC_ALL=C.UTF-8',
        'export PYTHONDONTWRITEBYTECODE=1',
        'modprobe --all loop dm-multipath target_core_iblock '
        'iscsi_target_mod nvmet-tcp nvme-tcp',
        f'cd {shlex.quote(str(shop.source))}',
        'mkdir /root/stestr',
        shlex.join([*stestr, 'run', '--concurrency', '1']),
        'status=$?',
        shlex.join([*stestr, 'last', '--subunit']) + ' > /job/subunit',
        shlex.join([*stestr, 'list']) + ' > /job/listed',
        'exit $status'))


def cloud(shop: Workshop) -> Outcome:
    """nova_docker/tests/cloud: what users do, on dockenstack"""
    shop.cloud.up()
    return shop.run_tests('cloud', '--concurrency', '1', minutes=60,
                          OS_CLIENT_CONFIG_FILE=os.fspath(shop.cloud.clouds))


def tempest(shop: Workshop) -> Outcome:
    """Tempest's tests of the compute API, on dockenstack"""
    shop.cloud.up()
    result = shop.run_tempest('tempest', minutes=90)
    with _two_hosts(shop):
        result.add(shop.run_tempest_between_hosts(
            'tempest', r'tempest\.api\.', minutes=30))
        result.add(shop.run_tempest_as_demo('tempest', minutes=10))
    return result


def scenario(shop: Workshop) -> Outcome:
    """Tempest's scenarios of servers, on dockenstack (with --all)"""
    shop.cloud.up()
    return shop.run_tempest('scenario', minutes=80)


def extras(shop: Workshop) -> Outcome:
    """nova_docker/tests/extras: more services, the guides (with --all)"""
    # One test installs the driver on a machine of its own.
    debian.install(('debootstrap',), shop.env, shop.log('extras'))
    shop.cloud.up('', 'barbican', 'manila', 'horizon', 'browser', 'criu')
    result = shop.run_tests(
        'extras', '--concurrency', '1', minutes=90,
        OS_CLIENT_CONFIG_FILE=os.fspath(shop.cloud.clouds))
    with shop.engine.making_checkpoints(shop.env, shop.cloud.criu):
        checkpoints = shop.run_tests(
            'extras', '--concurrency', '1', minutes=10, kind='functional',
            selected='CheckpointTestCase', DOCKER_HOST=shop.engine.url)
    if checkpoints.skipped:
        checkpoints.failed.append('the engine, which makes no checkpoints')
    result.add(checkpoints)
    return result


def hosts(shop: Workshop) -> Outcome:
    """servers between two compute hosts, Tempest's too (with --all)"""
    with _two_hosts(shop):
        result = shop.run_tests(
            'hosts', '--concurrency', '1', minutes=60,
            OS_CLIENT_CONFIG_FILE=os.fspath(shop.cloud.clouds))
        result.add(shop.run_tempest_between_hosts(
            'hosts', r'tempest\.scenario\.', minutes=60))
    return result


@contextlib.contextmanager
def _two_hosts(shop: Workshop) -> Iterator[None]:
    """Have a second compute host, and a key manager."""
    shop.cloud.up('', 'barbican', SECOND_HOST)
    try:
        yield
    finally:
        # The other stages look for servers on the first.
        shop.cloud.up()


#: In the order in which they run.
STAGES: dict[str, Callable[[Workshop], Outcome]] = {
    stage.__name__: stage
    for stage in (lint, unit, functional, conformance, cloud, tempest,
                  scenario, extras, hosts, matrix, kernel)}

#: What takes long and finds little that the others don't: it runs if it is
#: named, or everything is asked for.
SELDOM = ('scenario', 'extras', 'hosts', 'matrix', 'kernel')

#: Stages that run beside each other, lane by lane: those with an engine of
#: their own, and those on the cloud. Each of them alone leaves one of two
#: cores idle half of the time.
LANES = (('cloud',), ('functional', 'conformance'))


def rounds(chosen: Container[str]) -> Iterator[list[list[str]]]:
    """Yield the chosen stages in their order, as lanes beside each other."""
    ahead = [each for each in STAGES if each in chosen]
    while ahead:
        lanes = [[ahead[0]]]
        if any(ahead[0] in lane for lane in LANES):
            lanes = [[each for each in lane if each in ahead]
                     for lane in LANES]
        yield [lane for lane in lanes if lane]
        ahead = [each for each in ahead
                 if not any(each in lane for lane in lanes)]


def run(name: str, shop: Workshop) -> Outcome:
    """Run one stage; whatever goes wrong in it is its outcome."""
    shop.log(name).unlink(missing_ok=True)
    try:
        return STAGES[name](shop)
    except (OSError, RuntimeError, ValueError,
            subprocess.SubprocessError) as error:
        return Outcome(failed=[f'the stage itself: {error}'])
