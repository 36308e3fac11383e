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

"""The cloud on this machine, by its own commands."""

import os
import pathlib
import re

import process

#: Seconds for one command; a whole cloud from nothing takes a few minutes.
PATIENCE = 1800
#: What only one stage is for.
SECOND_HOST = 'second-host'


class Dockenstack:
    """``contrib/dockenstack``: brought up as far as a stage needs it."""

    def __init__(self, source: pathlib.Path, home: pathlib.Path,
                 env: dict[str, str], logs: pathlib.Path) -> None:
        self._commands = source / 'contrib' / 'dockenstack'
        self._source = source
        self._env = env
        self._logs = logs
        self.venv = home / 'venv'
        self.clouds = home / 'clouds.yaml'
        self.tempest = home / 'tempest'
        self.criu = home / 'criu' / 'bin'
        self._ready: set[tuple[str, ...]] = set()
        self._has_second = False
        # There while the cloud is up for the tests only, so that the run
        # after one that was killed takes it down.
        self._ours = logs / 'cloud-is-ours'
        if not self._runs():
            self._ours.touch()

    def _runs(self) -> bool:
        """Whether any part of it runs: what is broken is someone's too."""
        log = self.log('status')
        self._run('status', log=log)
        return bool(re.search(r'\brunning\b', log.read_text()))

    def up(self, to: str = '', *extras: str) -> None:
        """Bring it up, or only to the named part. Once is enough.

        It has one compute host, unless the extras name the second.

        :param extras: what it shall have besides, from now on
        :raises RuntimeError: if it could not; the message ends with the last
            lines that it said.
        """
        wanted = (*(['--to', to] if to else []),
                  *(['--with', ','.join(extras)] if extras else []),
                  *([] if SECOND_HOST in extras
                    else ['--without', SECOND_HOST]))
        if wanted in self._ready:
            return
        if self._has_second != (SECOND_HOST in extras):
            # What had it, or had it not, is not there any more.
            self._ready.clear()
            self._has_second = SECOND_HOST in extras
        # Lanes may bring up different parts at the same time.
        log = self.log('up', *([to] if to else []))
        if self._run('up', *wanted, log=log):
            raise RuntimeError(
                f'contrib/dockenstack/up failed:\n{process.tail(log)}\n'
                f'(all of it: {log})')
        self._ready.add(wanted)

    def restore(self) -> bool:
        """Bring it down, unless it was up before.

        :returns: whether the machine is as it was.
        """
        if not self._ours.exists():
            return True
        restored = self._run('down', log=self.log('down')) == 0
        self._ours.unlink()
        return restored

    def log(self, *command: str) -> pathlib.Path:
        return self._logs / f'{"-".join(("dockenstack", *command))}.log'

    def _run(self, command: str, *arguments: str, log: pathlib.Path) -> int:
        log.unlink(missing_ok=True)
        return process.run(
            [os.fspath(self._commands / command), *arguments], log,
            env=self._env, cwd=self._source, timeout=PATIENCE)
