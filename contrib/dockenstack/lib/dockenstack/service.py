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

"""Start, watch, restart and stop the long-running processes of the cloud."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import concurrent.futures
import dataclasses
import enum
import grp
import json
import os
import pathlib
import pwd
import signal
import subprocess

from dockenstack import listeners
from dockenstack import processes
from dockenstack import ready
from dockenstack.settings import Home
from dockenstack import shell

LOG_LIMIT = 64 * 1024 * 1024
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


@dataclasses.dataclass(frozen=True)
class Service:
    """One process that has to be there, with everything below it."""

    name: str
    command: tuple[str, ...]
    address: str = ''
    user: str = 'root'
    group: str | None = None
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Restarted when one of these, the command or the environment changes.
    configuration: tuple[pathlib.Path, ...] = ()
    ports: tuple[int, ...] = ()
    ready: Callable[[], bool] = ready.at_once
    start_seconds: float = 300
    stop_seconds: float = 10
    stop_signal: signal.Signals = signal.SIGTERM
    umask: int = 0o022

    def fingerprint(self) -> str:
        return shell.digest(
            json.dumps([self.command, dict(self.env), self.user, self.group,
                        self.umask]),
            *self.configuration)


class State(enum.Enum):
    RUNNING = 'running'
    UNREADY = 'not ready'
    DEAD = 'dead'
    STOPPED = 'stopped'


class Supervisor:
    """Keeps pid files below the home; nothing else remembers a process."""

    def __init__(self, home: Home):
        self.home = home

    def log(self, service: Service) -> pathlib.Path:
        return self.home.log / f'{service.name}.log'

    def pid(self, service: Service) -> int | None:
        """The pid if the very process that we started is alive."""
        record = self._record(service)
        if not record:
            return None
        pid = int(record['pid'])
        return pid if processes.start_time(pid) == record['start'] else None

    def is_current(self, service: Service) -> bool:
        """Whether it is alive and was started as it is configured now."""
        return (self.pid(service) is not None and
                self._record(service).get('fingerprint') ==
                service.fingerprint())

    def state(self, service: Service) -> State:
        if self.pid(service):
            return State.RUNNING if service.ready() else State.UNREADY
        return State.DEAD if self._record(service) else State.STOPPED

    def ensure(self, service: Service) -> bool:
        """Have it running as configured; True if it had to be started."""
        if self.is_current(service) and self._answers(service):
            return False
        self.stop(service)
        self.start(service)
        return True

    def ensure_all(self, services: Sequence[Service]) -> None:
        """Have several running, started at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(self.ensure, services))

    def start(self, service: Service) -> None:
        for port in service.ports:
            listeners.require_free(port, service.name)
        process = self._spawn(service)
        log = self.log(service)

        def ready_or_dead() -> bool:
            if process.poll() is not None:
                raise shell.Failure(
                    f'{service.name} ended with {process.returncode} as it '
                    'started', log)
            return service.ready()

        try:
            shell.wait_until(ready_or_dead, service.start_seconds,
                             f'{service.name} did not answer')
        except shell.Failure as failure:
            failure.log = log
            raise

    def stop(self, service: Service) -> None:
        """End it and all that it left. May be called again."""
        pid = self.pid(service)
        if pid:
            processes.send([pid], service.stop_signal)
            processes.wait_gone([pid], service.stop_seconds)
        processes.end(processes.marked(self.home, service.name), 1)
        self._pidfile(service).unlink(missing_ok=True)

    def stop_all(self, services: Sequence[Service]) -> None:
        """End several at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(self.stop, services))

    def _answers(self, service: Service) -> bool:
        try:
            return bool(shell.wait_until(service.ready, 10, 'no answer'))
        except shell.Failure:
            return False

    def _pidfile(self, service: Service) -> pathlib.Path:
        return self.home.run / f'{service.name}.json'

    def _record(self, service: Service) -> dict[str, str]:
        try:
            return dict(json.loads(self._pidfile(service).read_text()))
        except (FileNotFoundError, ValueError):
            return {}

    def _spawn(self, service: Service) -> 'subprocess.Popen[bytes]':
        account = pwd.getpwnam(service.user)
        group = (grp.getgrnam(service.group).gr_gid if service.group
                 else account.pw_gid)
        env = {'PATH': f'{self.home.bin}:{PATH}', 'HOME': account.pw_dir,
               'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8',
               # Titles of processes would overwrite the marks.
               'SPT_NOENV': '1',
               **self.home.caches,
               **processes.marks(self.home, service.name), **service.env}
        log = self.log(service)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix('.log.1'))
        with log.open('ab') as output:
            process = subprocess.Popen(
                service.command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd='/', env=env,
                start_new_session=True, umask=service.umask,
                user=account.pw_uid, group=group,
                extra_groups=os.getgrouplist(service.user, group))
        shell.write(self._pidfile(service), json.dumps({
            'pid': process.pid,
            'start': processes.start_time(process.pid),
            'fingerprint': service.fingerprint()}))
        return process
