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

"""Run named stages, each as soon as what it needs is done."""

from collections.abc import Callable
from collections.abc import Sequence
import concurrent.futures
import contextvars
import dataclasses
import pathlib
import sys
import time
import traceback

from dockenstack.settings import Home
from dockenstack import shell

LAST_LINES = 20
LONGEST = 240


@dataclasses.dataclass(frozen=True)
class Stage:
    """A step of `up`. `run` gives a few words on what it did."""

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()


def needed_for(stages: Sequence[Stage], last: str) -> list[Stage]:
    """The stage named and, in order, what it needs."""
    by_name = {stage.name: stage for stage in stages}
    wanted = {last}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted.update(stage.needs)
    return [by_name[stage.name] for stage in stages if stage.name in wanted]


class Runner:
    """Runs stages side by side and prints one line for each."""

    def __init__(self, home: Home, stages: Sequence[Stage]):
        self.home = home
        self.stages = list(stages)
        self.width = max(len(stage.name) for stage in stages)

    def run(self) -> bool:
        """True if every stage succeeded; after a failure none is begun."""
        waiting = list(self.stages)
        done: set[str] = set()
        running: dict[concurrent.futures.Future[str], str] = {}
        failed = False
        with concurrent.futures.ThreadPoolExecutor(len(waiting)) as pool:
            while running or (waiting and not failed):
                ready = [stage for stage in waiting
                         if not failed and done.issuperset(stage.needs)]
                for stage in ready:
                    waiting.remove(stage)
                    context = contextvars.copy_context()
                    running[pool.submit(
                        context.run, self._run_one, stage)] = stage.name
                finished, _ = concurrent.futures.wait(
                    running, return_when='FIRST_COMPLETED')
                for future in finished:
                    done.add(running.pop(future))
                    failed = failed or bool(future.exception())
        return not failed

    def log(self, stage: Stage) -> pathlib.Path:
        return self.home.log / f'up-{stage.name}.log'

    def _run_one(self, stage: Stage) -> str:
        begun = time.monotonic()
        log = self.log(stage)
        try:
            with shell.logging_to(log):
                words = stage.run()
        except Exception as error:
            self._tell(stage, begun, 'FAILED')
            self._explain(stage, error, log)
            raise
        self._tell(stage, begun, words)
        return words

    def _tell(self, stage: Stage, begun: float, words: str) -> None:
        seconds = time.monotonic() - begun
        print(f'{stage.name:{self.width}} {seconds:6.1f} s  {words}',
              flush=True)

    def _explain(self, stage: Stage, error: Exception,
                 log: pathlib.Path) -> None:
        if isinstance(error, shell.Failure):
            log = error.log or log
            reason = str(error)
        else:
            reason = f'{type(error).__name__}: {error}'
            with log.open('a') as output:
                traceback.print_exception(error, file=output)
        lines = log.read_text(errors='replace').splitlines()[-LAST_LINES:]
        print(f'\nStage {stage.name} failed: {reason}\n'
              f'Log: {log}, its last lines:',
              *(f'    {line[:LONGEST]}' for line in lines), '',
              sep='\n', file=sys.stderr, flush=True)
