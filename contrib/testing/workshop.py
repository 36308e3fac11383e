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

"""What the stages of contrib/test share: to run tests, and to count them."""

from collections.abc import Iterable
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

from dockenstack import Dockenstack
from engine import Engine
import outcome
from outcome import Outcome
import process

_HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Workshop:
    """What the stages share."""

    source: pathlib.Path
    logs: pathlib.Path
    env: dict[str, str]
    cloud: Dockenstack
    engine: Engine

    def log(self, stage: str) -> pathlib.Path:
        return self.logs / f'{stage}.log'

    def run(self, stage: str, *command: str | os.PathLike[str],
            minutes: int, **env: str) -> int:
        return process.run(command, self.log(stage), env=self.env | env,
                           cwd=self.source, timeout=minutes * 60)

    def run_tests(self, stage: str, *options: str, minutes: int,
                  kind: str = '', selected: str = '', **env: str) -> Outcome:
        """Run the tests in nova_docker/tests/<stage> under stestr.

        :param kind: another directory that they are in
        :param selected: a regular expression for their names
        """
        repository = self.logs / f'{stage}.stestr'
        shutil.rmtree(repository, ignore_errors=True)
        repository.mkdir()
        command = stestr(kind or stage, os.fspath(repository))
        names = [selected] if selected else []
        self.run(stage, *command, 'run', *options, *names, minutes=minutes,
                 **env)
        listed = subprocess.run(
            [*command, 'list', *names], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True, env=self.env | env,
            cwd=self.source, check=False).stdout.splitlines()
        return self.count(stage, *command, 'last', '--subunit', listed=listed)

    def run_tempest(self, stage: str, minutes: int) -> Outcome:
        """Run those of Tempest's tests that <stage>.txt selects.

        But not those that take more than the cloud, which a table tells.
        """
        left_out = [_names(f'tempest-{each}.csv')
                    for each in ('exclude', 'hosts', 'demo')]
        result = self._run_tempest(
            stage, _patterns(f'{stage}.txt').joined(), minutes,
            '--exclude-regex', '|'.join(each.joined() for each in left_out))
        known = self._listed(r'^tempest\.(api|scenario)\.')
        result.failed += [f'{each} (in a table, but there is no such test)'
                          for names in (*left_out, _names('tempest-skip.csv'))
                          for each in names.strangers(known)]
        return result

    def run_tempest_between_hosts(self, stage: str, selected: str,
                                  minutes: int) -> Outcome:
        """Run those of Tempest's tests that take two compute hosts.

        :param selected: how their names begin
        """
        return self._run_tempest(
            stage, _names('tempest-hosts.csv').joined(selected),
            minutes)

    def run_tempest_as_demo(self, stage: str, minutes: int) -> Outcome:
        """Run those of Tempest's tests that take one user's belongings."""
        return self._run_tempest(
            stage, _names('tempest-demo.csv').joined(), minutes,
            '--as-demo')

    def _run_tempest(self, stage: str, selected: str, minutes: int,
                     *options: str) -> Outcome:
        # Or the results of a run that did not begin would be the last run's.
        shutil.rmtree(self.cloud.tempest / '.stestr', ignore_errors=True)
        self.run(stage, self._tempest, '--everything', selected, *options,
                 minutes=minutes)
        return self.count(
            stage, 'stestr', '--repo-url', os.fspath(self.cloud.tempest),
            'last', '--subunit', explanations=_names('tempest-skip.csv'),
            listed=self._listed(selected, *options))

    @property
    def _tempest(self) -> pathlib.Path:
        return self.source / 'contrib' / 'dockenstack' / 'tempest'

    def _listed(self, selected: str, *options: str) -> list[str]:
        """Name the tests of Tempest that would be run."""
        listed = subprocess.run(
            [self._tempest, '--everything', '--list-tests', selected,
             *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            env=self.env, cwd=self.source, check=True)
        return listed.stdout.split()

    def count(self, stage: str, *stream: str,
              explanations: outcome.Patterns | outcome.Names | None = None,
              listed: Iterable[str] = ()) -> Outcome:
        """Count the tests of the subunit stream that a command writes.

        stestr's own exit status is not asked: it is 0 when every test was
        skipped.

        :param listed: what should be in it
        """
        with self.log(f'{stage}-count').open('wb') as errors:
            written = subprocess.run(
                stream, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, env=self.env, cwd=self.source, check=False)
            read = subprocess.run(
                ['python', _HERE / 'subunit_json.py'], input=written.stdout,
                stdout=subprocess.PIPE, stderr=errors, env=self.env,
                cwd=self.source, check=True)
        tests = json.loads(read.stdout)
        result = outcome.of_tests(
            tests, explanations or _patterns('skips.txt'), listed)
        missing = sorted({name for test in tests
                          for name in test['not_implemented'].split()})
        if missing:
            result.notes.append(f'{len(missing)} methods not implemented: '
                                f'{", ".join(missing)}')
        return result


def stestr(stage: str, repository: str) -> list[str]:
    """Return stestr's command line for the tests of one directory."""
    return ['stestr', '--test-path', f'nova_docker/tests/{stage}',
            '--top-dir', '.', '--repo-url', repository]


def _patterns(name: str) -> outcome.Patterns:
    return outcome.Patterns(_HERE / name)


def _names(name: str) -> outcome.Names:
    return outcome.Names(_HERE / name)
