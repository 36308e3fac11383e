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

"""What contrib/test makes of the results of tests."""

import contextlib
import functools
import importlib.util
import multiprocessing
import os
import pathlib
import re
import select
import signal
import sys
from types import ModuleType
from typing import Any
from unittest import mock

import fixtures
from oslotest import base

import nova_docker
from nova_docker.tests import base as tests

_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]


def _load(name: str) -> ModuleType:
    path = _SOURCE / 'contrib' / 'testing' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _test(name: str, status: str) -> dict[str, str]:
    return {'id': name, 'status': status, 'reason': 'it rains'}


class OutcomeTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.outcome = _load('outcome')
        path = self.create_tempfiles([('skips', (
            '# why\n\na\\.Slow\\..* Takes a day.\n'))])[0]
        self.skips = self.outcome.Patterns(pathlib.Path(path))

    def test_a_stage_passes_with_passed_and_explained_tests(self) -> None:
        result = self.outcome.of_tests(
            [_test('a.Quick.one', 'success'), _test('a.Slow.one', 'skip')],
            self.skips)
        self.assertTrue(result.ok)
        self.assertEqual((1, [], 1),
                         (result.passed, result.failed, result.skipped))

    def test_an_unexplained_skip_fails(self) -> None:
        result = self.outcome.of_tests(
            [_test('a.Quick.one', 'success'), _test('a.Quick.two', 'skip')],
            self.skips)
        self.assertFalse(result.ok)
        self.assertEqual(
            ['a.Quick.two (skipped, and not explained: it rains)'],
            result.failed)

    def test_a_test_that_did_not_end_fails(self) -> None:
        result = self.outcome.of_tests(
            [_test('a.Quick.one', 'inprogress')], self.skips)
        self.assertEqual(['a.Quick.one (inprogress)'], result.failed)

    def test_a_test_that_did_not_begin_fails(self) -> None:
        """Its worker has died, or knew it by another name."""
        result = self.outcome.of_tests(
            [_test('a.Quick.one', 'success')], self.skips,
            ['a.Quick.one', 'a.Quick.two'])
        self.assertEqual(['a.Quick.two (listed, and not run)'],
                         result.failed)

    def test_no_test_is_a_failure(self) -> None:
        self.assertEqual(['no test ran'],
                         self.outcome.of_tests([], self.skips).failed)

    def test_every_skip_is_a_failure_of_a_stage(self) -> None:
        result = self.outcome.of_tests(
            [_test('a.Slow.one', 'skip')], self.skips)
        self.assertFalse(result.ok)

    def test_a_reason_is_needed(self) -> None:
        path = self.create_tempfiles([('bare', 'a\\.Slow\n')])[0]
        self.assertRaises(ValueError, self.outcome.Patterns,
                          pathlib.Path(path))

    def _names(self) -> Any:
        path = self.create_tempfiles([('names', (
            'a.Slow.one,Takes a day.\na.Slow.two,"So, too."\n'))])[0]
        return self.outcome.Names(pathlib.Path(path))

    def test_a_name_is_covered_whatever_its_tags(self) -> None:
        names = self._names()
        self.assertTrue(names.cover('a.Slow.one[id-1,slow]'))
        self.assertFalse(names.cover('a.Slow.one_more'))

    def test_an_expression_finds_the_names_alone(self) -> None:
        found = [each for each in ('a.Slow.one', 'a.Slow.two[id-1]',
                                   'a.Slow.one_more', 'aaSlow.one')
                 if re.search(self._names().joined(), each)]
        self.assertEqual(['a.Slow.one', 'a.Slow.two[id-1]'], found)

    def test_a_name_without_a_test_is_a_stranger(self) -> None:
        self.assertEqual(
            ['a.Slow.two'],
            self._names().strangers(['a.Slow.one[id-1]', 'a.Quick.one']))

    def test_a_name_needs_a_reason(self) -> None:
        path = self.create_tempfiles([('bare', 'a.Slow.one\n')])[0]
        self.assertRaises(ValueError, self.outcome.Names, pathlib.Path(path))

    def test_the_last_line_counts(self) -> None:
        table = self.outcome.table({
            'unit': self.outcome.Outcome(passed=3, skipped=1, seconds=1.5),
            'cloud': self.outcome.Outcome(passed=2, failed=['it'])}, 2.5)
        self.assertEqual('5 passed, 1 failed, 1 skipped',
                         table.splitlines()[-1])

    def test_what_all_took_is_told(self) -> None:
        """Two stages beside each other took less than both their times."""
        table = self.outcome.table({
            'unit': self.outcome.Outcome(passed=3, seconds=10.0),
            'cloud': self.outcome.Outcome(passed=2, seconds=11.0)}, 12.0)
        self.assertEqual(['all', '12.0'], table.splitlines()[-3].split())


class RunnerTestCase(base.BaseTestCase):
    """A test that needs modules of the runner that load others of them."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('sys.path', [
            str(_SOURCE / 'contrib' / 'testing'), *sys.path]))
        # Their names are nobody else's.
        self.enterContext(mock.patch.dict(sys.modules))


class RoundsTestCase(RunnerTestCase):
    """Which stages run beside each other."""

    def setUp(self) -> None:
        super().setUp()
        self.stages = importlib.import_module('stages')

    def test_each_stage_once(self) -> None:
        self.assertEqual(
            sorted(self.stages.STAGES),
            sorted(name for lanes in self.stages.rounds(self.stages.STAGES)
                   for lane in lanes for name in lane))

    def test_the_cloud_beside_engines(self) -> None:
        self.assertEqual(
            [[['unit']], [['cloud'], ['functional', 'conformance']],
             [['tempest']]],
            list(self.stages.rounds(
                ['tempest', 'cloud', 'conformance', 'unit', 'functional'])))

    def test_what_is_not_chosen_does_not_run(self) -> None:
        self.assertEqual([[['conformance']], [['kernel']]],
                         list(self.stages.rounds(['kernel', 'conformance'])))


class BesideTestCase(RunnerTestCase):
    """Jobs at the same time."""

    def setUp(self) -> None:
        super().setUp()
        self.beside = importlib.import_module('beside')
        self.process = importlib.import_module('process')

    def test_results_come_in_the_order_of_the_jobs(self) -> None:
        pids = self.beside.run([os.getpid, os.getpid, lambda: 'third'])
        self.assertEqual([os.getpid(), 'third'], [pids[0], pids[2]])
        self.assertNotEqual(os.getpid(), pids[1])

    def test_they_run_at_the_same_time(self) -> None:
        """Either of the two waits for what the other tells."""
        (here, there), (back, forth) = os.pipe(), os.pipe()

        def first() -> bytes:
            os.write(there, b'first')
            return os.read(back, 6)

        def second() -> bytes:
            os.write(forth, b'second')
            return os.read(here, 5)

        self.assertEqual([b'second', b'first'],
                         self.beside.run([first, second]))

    def _until_signalled(self, begin: int, write: int) -> None:
        """Be a job that is to run for ever; tell that it cleans up."""
        self.process.raise_on_signals()
        # A signal that comes just before the reading ends it, too.
        signalled, signals = os.pipe()
        os.set_blocking(signals, False)
        signal.set_wakeup_fd(signals)
        try:
            os.write(begin, str(os.getpid()).encode())
            os.read(signalled, 1)
        finally:
            os.write(write, b'cleaned up')

    def _interrupted(self, error: type[Exception]) -> bytes:
        """Return what a job wrote that was to run for ever."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        began, begin = os.pipe()

        def first() -> None:
            os.read(began, 1)
            raise error(signal.SIGTERM)

        second = functools.partial(self._until_signalled, begin, write)
        self.assertRaises(error, self.beside.run, [first, second])
        return os.read(read, 20)

    def test_others_clean_up_after_an_interruption(self) -> None:
        self.assertEqual(b'cleaned up',
                         self._interrupted(self.process.Interrupted))

    def test_others_clean_up_after_an_error(self) -> None:
        self.assertEqual(b'cleaned up', self._interrupted(OSError))

    def test_others_clean_up_after_a_kill(self) -> None:
        """Nobody is left to end them."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        began, begin = os.pipe()
        runner = multiprocessing.get_context('fork').Process(
            target=self.beside.run, args=([
                signal.pause,
                functools.partial(self._until_signalled, begin, write)],))
        runner.start()
        # By this it is known, whoever has its number when it has ended.
        other = os.pidfd_open(int(os.read(began, 20)))
        runner.kill()
        runner.join()
        ended, _writable, _failed = select.select(
            [other], [], [], tests.PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(other, signal.SIGKILL)
        self.assertEqual([other], ended)
        self.assertEqual(b'cleaned up', os.read(read, 20))

    def test_no_job_begins_after_a_kill(self) -> None:
        """Its parent is another by then: in this test no process at all."""
        receiver, sender = multiprocessing.Pipe(duplex=False)
        other = multiprocessing.get_context('fork').Process(
            target=self.beside._tell, args=(os.getpid, sender, 0))
        other.start()
        other.join()
        self.assertEqual((-signal.SIGTERM, False),
                         (other.exitcode, receiver.poll()))

    def test_a_process_that_dies_is_told(self) -> None:
        dies = functools.partial(os._exit, 3)
        error = self.assertRaises(RuntimeError, self.beside.run,
                                  [os.getpid, dies])
        self.assertIn('3', str(error))


class CloudTestCase(RunnerTestCase):
    """A cloud that writes down how it is brought up."""

    def setUp(self) -> None:
        super().setUp()
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        commands = home / 'contrib' / 'dockenstack'
        commands.mkdir(parents=True)
        for name in ('status', 'up'):
            (commands / name).write_text(f'#!/bin/sh\necho "$*" >> {name}\n')
            (commands / name).chmod(0o755)
        self.log = home / 'up'
        self.cloud = _load('dockenstack').Dockenstack(home, home, {}, home)

    def ups(self) -> list[str]:
        return self.log.read_text().splitlines()

    def test_once_is_enough(self) -> None:
        for _time in range(2):
            self.cloud.up('keystone')
            self.cloud.up()
        self.assertEqual(['--to keystone --without second-host',
                          '--without second-host'], self.ups())

    def test_the_second_host_comes_and_goes(self) -> None:
        for extras in (['second-host'], [], ['second-host'], []):
            for _time in range(2):
                self.cloud.up('', *extras)
        self.assertEqual(['--with second-host', '--without second-host'] * 2,
                         self.ups())
