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

"""Run the project's tests on this machine, stage by stage."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import fcntl
import functools
import os
import pathlib
import sys
import time

import beside
from dockenstack import Dockenstack
from engine import Engine
import environment
import outcome
from outcome import Outcome
import process
import stages
from workshop import Workshop

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def main() -> int:
    chosen = _chosen(_arguments())
    home = pathlib.Path(
        os.environ.get('DOCKENSTACK_HOME') or '/var/lib/dockenstack')
    logs = home.absolute() / 'test'
    logs.mkdir(parents=True, exist_ok=True)
    with _alone(logs):
        process.raise_on_signals()
        return _run(chosen, home, logs)


def _arguments() -> argparse.Namespace:
    listed = '\n'.join(f'  {name:<13}{stage.__doc__}'
                       for name, stage in stages.STAGES.items())
    parser = argparse.ArgumentParser(
        prog='contrib/test', description=__doc__,
        epilog=f'stages, in their order:\n{listed}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('stage', nargs='*', choices=[*stages.STAGES, []],
                        metavar='STAGE', help='run only these stages')
    parser.add_argument(
        '--all', action='store_true', help='run every stage; without this, '
        f'not {", ".join(stages.SELDOM)}')
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[str]:
    if arguments.all:
        return list(stages.STAGES)
    return arguments.stage or [each for each in stages.STAGES
                               if each not in stages.SELDOM]


@contextlib.contextmanager
def _alone(logs: pathlib.Path) -> Iterator[None]:
    """Keep two runs on one machine apart; the kernel frees a dead run's."""
    with (logs / 'lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit('contrib/test: another run is under way on this machine')
        yield


def _run(chosen: list[str], home: pathlib.Path, logs: pathlib.Path) -> int:
    env = environment.clean(os.environ, SOURCE, home / 'venv')
    cloud = Dockenstack(SOURCE, home, env, logs)
    engine = Engine(logs / 'engine', logs / 'engine.log')
    shop = Workshop(SOURCE, logs, env, cloud, engine)
    outcomes: dict[str, Outcome] = {}
    interrupted = 0
    began = time.monotonic()
    try:
        for lanes in stages.rounds(chosen):
            for each in beside.run([functools.partial(_lane, lane, shop)
                                    for lane in lanes]):
                outcomes |= each
    except RuntimeError as error:
        outcomes['lanes'] = Outcome(failed=[str(error)])
        _say(f'\nFAILED lanes: {error}')
    except process.Interrupted as signal:
        print(f'\nInterrupted by {signal}.', flush=True)
        interrupted = 128 + signal.number
    restored = _restore(cloud)
    print('\n' + outcome.table(outcomes, time.monotonic() - began),
          flush=True)
    good = restored and all(each.ok for each in outcomes.values())
    return interrupted or (0 if good else 1)


def _lane(names: Iterable[str], shop: Workshop) -> dict[str, Outcome]:
    return {name: _stage(name, shop) for name in names}


def _stage(name: str, shop: Workshop) -> Outcome:
    log = shop.log(name)
    _say(f'\n=== {name}: {stages.STAGES[name].__doc__}',
         f'    (tail -F {log})')
    began = time.monotonic()
    result = stages.run(name, shop)
    result.seconds = time.monotonic() - began
    said = [f'FAILED {each}' for each in result.failed]
    if result.failed and log.exists():
        said += [f'--- the end of {log}:', process.tail(log)]
    _say(*said, *result.notes,
         f'=== {name}: {result.passed} passed, {len(result.failed)} failed, '
         f'{result.skipped} skipped in {result.seconds:.1f} s')
    return result


def _say(*lines: str) -> None:
    """Print lines in one piece: another lane's may come at any time."""
    print('\n'.join(lines), flush=True)


def _restore(cloud: Dockenstack) -> bool:
    restored = cloud.restore()
    if not restored:
        log = cloud.log('down')
        print(f'\nThe cloud did not go down:\n{process.tail(log)}')
    return restored


if __name__ == '__main__':
    sys.exit(main())
