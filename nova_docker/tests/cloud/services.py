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

"""What an operator, or a power cut, does to the cloud's services."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import configparser
import contextlib
import json
import os
import pathlib
import signal
import subprocess
from typing import Any

from openstack import exceptions

from nova_docker.tests.cloud import clouds

_UP = pathlib.Path(__file__).resolve().parents[3] / 'contrib/dockenstack/up'
#: Seconds in which ``up`` repairs what died.
_REPAIR = 600


def _record(service: str) -> pathlib.Path:
    return clouds.home() / 'run' / f'{service}.json'


def is_ours(service: str) -> bool:
    """Tell whether dockenstack started a service, which may be killed."""
    return _record(service).exists()


def kill(service: str) -> None:
    """End a service's main process as a crash would."""
    pid = main_process(service)
    os.kill(pid, signal.SIGKILL)
    clouds.wait_until(lambda: _is_gone(pid), f'{service} is dead')


def main_process(service: str) -> int:
    """Return the process that dockenstack started."""
    return int(json.loads(_record(service).read_text())['pid'])


@contextlib.contextmanager
def halted(service: str) -> Iterator[None]:
    """Let a service's main process do nothing meanwhile."""
    pid = main_process(service)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def halted_daemon(service: str, context: str) -> Iterator[None]:
    """Let a service's privileged daemon do nothing meanwhile.

    It outlives the service, and goes on in the end.

    :param context: the name of its privsep context
    """
    [pid] = _daemons(main_process(service), context)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _daemons(service: int, context: str) -> Iterator[int]:
    """Yield the daemons in a service's session that have a context."""
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        # Any of them may end meanwhile.
        with contextlib.suppress(OSError):
            if (context.encode() in path.read_bytes().split(b'\0')
                    and os.getsid(int(path.parent.name)) == service):
                yield int(path.parent.name)


def _is_gone(pid: int) -> bool:
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(')')[2].split()[0] in 'ZX'


def up(to: str = 'compute', *more: str) -> None:
    """Bring up again whatever died, nova-compute the last of all.

    :param more: arguments of contrib/dockenstack/up
    """
    ran = subprocess.run([_UP, '--to', to, *more], check=False, text=True,
                         timeout=_REPAIR, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ran.returncode:
        raise AssertionError(f'{_UP} failed:\n{ran.stdout}')


@contextlib.contextmanager
def options(given: Mapping[str, Mapping[str, str]],
            *files: str) -> Iterator[None]:
    """Give the cloud options of its user's own; restart what has them.

    :param given: by section
    :param files: below ``etc``
    """
    parser = configparser.RawConfigParser(default_section='')
    parser.read_dict(given)
    with contextlib.ExitStack() as ending:
        ending.callback(up)
        for name in files:
            local = clouds.home() / 'local' / name
            local.parent.mkdir(parents=True, exist_ok=True)
            ending.callback(local.unlink)
            with local.open('w') as written:
                parser.write(written)
        up()
        yield


def compute_service() -> Any:
    """Return the docker host's compute service, as operators see it."""
    [service] = [each for each in clouds.connection('admin').compute.services(
        binary='nova-compute') if each.host == 'dockenstack']
    return service


def set_schedulable(enabled: bool) -> None:
    """Take the docker host out of scheduling, or back, as operators do."""
    compute = clouds.connection('admin').compute
    found = compute.get('/os-services?binary=nova-compute',
                        microversion='2.53').json()['services']
    [service] = [each for each in found if each['host'] == 'dockenstack']
    answer = compute.put(
        f"/os-services/{service['id']}", microversion='2.53',
        json={'status': 'enabled' if enabled else 'disabled'})
    exceptions.raise_from_response(answer)


def host_traits() -> list[str]:
    """Return what Placement says that the docker host can do."""
    placement = clouds.connection('admin').placement
    [provider] = placement.get(
        '/resource_providers?name=dockenstack').json()['resource_providers']
    answer = placement.get(f'/resource_providers/{provider["uuid"]}/traits',
                           microversion='1.6')
    return list(answer.json()['traits'])
