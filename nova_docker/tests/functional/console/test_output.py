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

"""Console output of real containers."""

from __future__ import annotations

import dataclasses

import ddt

from nova import exception
from nova import objects
from nova_docker.console import output
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base

LIMIT = 4


@ddt.ddt
class OutputTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.console = output.Output(self.engine, LIMIT)

    def ended(self, script: str, tty: bool,
              host_log_size: int = 10) -> objects.Instance:
        """Run a script to its end."""
        instance = self.run_workload(
            self.make_image(), '/bin/sh', '-c', script,
            metadata={'docker:tty': str(tty)},
            host=dataclasses.replace(self.host(), log_size=host_log_size))
        self.wait_for_end(instance)
        return instance

    @ddt.data(True, False)
    def test_the_whole_of_a_small_log(self, tty: bool) -> None:
        found = self.console.tail(self.ended(
            'echo one; echo two >&2; printf three', tty))
        end = '\r\n' if tty else '\n'
        # Without a terminal the two streams may overtake each other.
        self.assertEqual(sorted(['one', 'two', 'three']),
                         sorted(found.split(end)) if tty else
                         sorted(found.replace('three', 'three\n').split()))

    @ddt.data(True, False)
    def test_the_end_of_many_lines(self, tty: bool) -> None:
        found = self.console.tail(self.ended(
            'yes 0123456789 | head -n 100000; echo end', tty))
        self.assertEqual(LIMIT * 1024, len(found))
        self.assertEqual(['0123456789', 'end'], found.split()[-2:])

    @ddt.data(True, False)
    def test_the_end_of_one_giant_line(self, tty: bool) -> None:
        found = self.console.tail(self.ended(
            'yes 0123456789 | head -n 300000 | tr -d "\\n"; printf end', tty))
        self.assertEqual(LIMIT * 1024, len(found))
        self.assertEqual('789end', found[-6:])

    def test_a_full_log_keeps_its_recent_half(self) -> None:
        """The engine must not empty it when it is full."""
        plenty = output.Output(self.engine, 1024)
        # A record of the log takes 67 bytes beside its text.
        lines = 1024 * 1024 // (67 + 11)
        found = plenty.tail(self.ended(
            f'yes 0123456789 | head -n {lines + lines // 20}; echo end',
            tty=False, host_log_size=1))
        self.assertGreater(len(found.split()), lines // 3)
        self.assertEqual('end', found.split()[-1])

    @ddt.data(True, False)
    def test_text_beyond_ascii(self, tty: bool) -> None:
        """A character is a byte, since Nova encodes it as latin-1 again."""
        found = self.console.tail(self.ended("printf 'gr\\303\\274n'", tty))
        self.assertEqual('grün', found.encode('latin-1').decode())

    @ddt.data(True, False)
    def test_bytes_that_are_no_text(self, tty: bool) -> None:
        found = self.console.tail(self.ended(
            "printf 'a\\377\\000\\033[1mb'", tty))
        self.assertEqual(('a', 'b'), (found[0], found[-1]))
        found.encode('latin-1')

    def test_while_it_runs_and_writes(self) -> None:
        instance = self.run_workload(self.make_image(), '/bin/sh', '-c',
                                     'echo begin; yes')
        tests.wait_until(
            lambda: len(self.console.tail(instance)) == LIMIT * 1024,
            'the console output grows to its limit')
        self.assertEqual(LIMIT * 1024, len(self.console.tail(instance)))

    def test_before_the_first_start(self) -> None:
        instance = self.make_instance()
        self.create(instance, self.make_image())
        self.assertEqual('', self.console.tail(instance))

    def test_without_a_workload(self) -> None:
        self.assertRaises(exception.ConsoleNotAvailable, self.console.tail,
                          tests.make_instance())

    def test_the_log_of_every_start(self) -> None:
        instance = self.ended('echo again', tty=True)
        self.engine.start(f'nova-{instance.uuid}')
        self.wait_for_end(instance)
        self.assertEqual(2, self.console.tail(instance).count('again'))
