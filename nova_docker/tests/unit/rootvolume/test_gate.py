#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The program that waits, run by the kernel of this machine."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import platform
import subprocess
import tarfile

import ddt
import fixtures
from oslotest import base

from nova import exception
from nova_docker import elf
from nova_docker.rootvolume import gate


@ddt.ddt
class GateTestCase(base.BaseTestCase):
    @ddt.data(('x86_64', 62), ('aarch64', 183))
    @ddt.unpack
    def test_a_program_for_each_machine(self, machine: str,
                                        number: int) -> None:
        program = gate.executable(machine)
        self.assertEqual(b'\x7fELF', program[:4])
        self.assertEqual(number, int.from_bytes(program[18:20], 'little'))
        self.assertTrue(program.endswith(b'/gate.fifo\0'))

    def test_no_program_for_other_machines(self) -> None:
        error = self.assertRaises(exception.InvalidInput, gate.executable,
                                  's390x')
        self.assertIn("'s390x'", str(error))

    def test_the_image_has_a_program_and_a_pipe(self) -> None:
        archive = elf.archive({'gate': b'code'}, ['gate.fifo'])
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            program, pipe = tar.getmembers()
        self.assertEqual((True, 0o755), (program.isfile(), program.mode))
        self.assertEqual((True, 0o644), (pipe.isfifo(), pipe.mode))


class RunTestCase(base.BaseTestCase):
    """With a pipe at another path of the same length."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        os.mkfifo(self.directory / 'gate.fifo')
        program = gate.executable(platform.machine()).replace(
            b'/gate.fifo\0', b'gate.fifo\0\0')
        self.program = self.directory / 'gate'
        self.program.write_bytes(program)
        self.program.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [self.program, *arguments], cwd=self.directory, text=True,
            stdout=subprocess.PIPE, env={'MINE': 'yes'})
        assert started.stdout is not None
        self.addCleanup(started.stdout.close)
        self.addCleanup(started.wait)
        self.addCleanup(started.kill)
        return started

    def tell(self, words: bytes) -> None:
        with (self.directory / 'gate.fifo').open('wb') as pipe:
            pipe.write(words)

    def tell_again(self, words: bytes, told: subprocess.Popen[str]) -> None:
        """Tell it until it has heard: at times it still ends the last talk.

        What it is told then is lost.
        """
        while told.poll() is None:
            with contextlib.suppress(OSError):
                pipe = os.open(self.directory / 'gate.fifo',
                               os.O_WRONLY | os.O_NONBLOCK)
                try:
                    os.write(pipe, words)
                finally:
                    os.close(pipe)

    def test_it_becomes_the_program(self) -> None:
        started = self.start('sh', '-c', 'pwd; echo $MINE $0 $1', 'a', 'b c')
        self.tell(b'/usr\0/bin/sh\0')
        output, _errors = started.communicate()
        self.assertEqual(['/usr', 'yes a b c'], output.splitlines())
        self.assertEqual(0, started.returncode)

    def test_it_goes_on_waiting_when_told_nothing(self) -> None:
        started = self.start('echo', 'told')
        self.tell(b'')
        self.tell_again(b'/\0/bin/echo\0', started)
        output, _errors = started.communicate()
        self.assertEqual('told\n', output)

    def test_a_program_that_is_not_there(self) -> None:
        started = self.start('nothing')
        self.tell(b'/\0/nothing\0')
        self.assertEqual(127, started.wait())

    def test_a_directory_that_is_not_there(self) -> None:
        started = self.start('echo')
        self.tell(b'/nothing\0/bin/echo\0')
        self.assertEqual(127, started.wait())
