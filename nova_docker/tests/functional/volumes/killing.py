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

"""nova-compute killed at any moment of an act, and started again.

The act is one of the driver's, in a process of its own which really ends by
SIGKILL: nothing cleans up, what it had open is closed by the kernel, and the
programs that it has started go on to their end.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import ctypes
import itertools
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any

import fixtures
from testtools import content

from nova import objects
from nova_docker.conf import CONF
from nova_docker import driver
from nova_docker.network import wiring
from nova_docker.tests import base as tests
from nova_docker.tests.functional.volumes import base
from nova_docker.tests import nova_api
from nova_docker.volumes import records

Act = Callable[[driver.DockerDriver], None]

_PR_SET_CHILD_SUBREAPER = 36
#: What changes nothing outside the process. All else that the operating
#: system is asked for is taken for a change.
_READERS = frozenset({
    'WIFSTOPPED', '_path_normpath', 'access', 'close', 'fspath', 'fstat',
    'getcwd', 'geteuid', 'getpid', 'getppid', 'getuid', 'listdir', 'lseek',
    'lstat', 'pipe', 'preadv', 'read', 'readlink', 'scandir', 'stat',
    'statvfs', 'uname', 'urandom', 'waitstatus_to_exitcode'})


class KilledCase(base.VolumesTestCase):
    """A host on which nova-compute is killed."""

    def setUp(self) -> None:
        super().setUp()
        # What needs a switch, an image service and a database.
        for patched in (
                fixtures.MockPatchObject(wiring, 'Wiring', autospec=True),
                fixtures.MockPatch('nova.image.glance.API', autospec=True),
                *(fixtures.MockPatchObject(
                    kind, 'get_by_instance_uuid', autospec=True,
                    return_value=kind())
                  for kind in (objects.BlockDeviceMappingList,
                               objects.VirtualInterfaceList))):
            self.useFixture(patched)
        self.flags(volume_detach_timeout=tests.PATIENCE, group='docker')
        # Programs whose parent was killed become this process's own.
        _adopt(True)
        self.addCleanup(_adopt, False)

    def make_records(self) -> records.Records:
        """Return those of the driver itself."""
        return records.Records(f'{CONF.state_path}/connections')

    def restart(self) -> driver.DockerDriver:
        """Start nova-compute; it has its own objects, and no memory."""
        started = driver.DockerDriver(nova_api.VirtAPI())
        started.init_host('host')
        # Its threads have no part in this, and would be forked.
        started.cleanup_host('host')
        return started

    def kill_everywhere(self, act: Act, after: Callable[[str | None], None],
                        before: Callable[[], None] = lambda: None) -> None:
        """Kill nova-compute in front of every change that an act makes.

        :param act: the driver's; in the end it is let through
        :param after: called after each kill, with where it was, and last
            without one
        :param before: called before each act
        """
        for number in itertools.count():
            before()
            where = self.killed(act, number)
            self.addDetail('killed', content.text_content(str(where)))
            after(where)
            if where is None:
                self.assertGreater(number, 0)
                return

    def killed(self, act: Act, number: int) -> str | None:
        """Return in front of what an act was killed, if it went so far.

        :param number: of the change that it does not come to
        """
        reader, writer = os.pipe()
        with open(reader, encoding='utf-8') as told:
            with open(writer, 'wb') as telling:
                code = self.in_process(act, _Killer(number, telling.fileno()))
            where = told.read()
        self.wait_for_programs()
        self.assertEqual(-signal.SIGKILL if where else 0, code)
        return where or None

    def in_process(self, act: Act, killer: _Killer | None = None) -> int:
        """Return how a process ends in which the driver acts.

        What it has started may go on.
        """
        pid = os.fork()
        if pid == 0:
            _end(lambda: _work(act, killer))
        self.addCleanup(_end_programs, pid)
        code = os.waitstatus_to_exitcode(self._wait(pid))
        self._group = pid
        return code

    def wait_for_programs(self) -> None:
        """Wait until every program has ended that the process started."""
        def have_ended() -> bool:
            try:
                os.waitpid(-self._group, os.WNOHANG)
            except ChildProcessError:
                return True
            return False

        tests.wait_until(have_ended, 'its programs have ended')

    @staticmethod
    def _wait(pid: int) -> int:
        def ended() -> tuple[int, ...]:
            found, status = os.waitpid(pid, os.WNOHANG)
            return (status,) if found else ()

        try:
            return int(tests.wait_until(ended, 'the act ends')[0])
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise


class _Killer:
    """Kills its process in front of one of the changes that it makes.

    A profile function: https://docs.python.org/3/library/sys.html#sys.setprofile

    :param number: of the change
    :param told: a file descriptor, which is told in front of what
    """

    def __init__(self, number: int, told: int) -> None:
        self._left = number
        self._told = told
        self._before: str | None = None

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        name = _change(frame, event, arg)
        # How often one asks whether a program has ended, its speed decides.
        if name is None or name == self._before == 'waitpid':
            return
        self._before = name
        if self._left == 0:
            os.write(self._told, f'{name} in {_place(frame)}'.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def _change(frame: FrameType, event: str, arg: Any) -> str | None:
    """Return the name of what is called, if it changes anything."""
    if event == 'c_call':
        if (getattr(arg, '__module__', None) in ('posix', '_posixsubprocess')
                and arg.__name__ not in _READERS
                and not (arg.__name__ == 'open'
                         and 'O_CREAT' not in frame.f_code.co_names)):
            return str(arg.__name__)
    elif event == 'call' and '_libc' in frame.f_code.co_names:
        # What calls the C library itself.
        return frame.f_code.co_name
    return None


def _place(frame: FrameType) -> str:
    """Return where in the driver that is, innermost first."""
    found = [f'{entry.f_code.co_name}:{line}'
             for entry, line in traceback.walk_stack(frame)
             if '/nova_docker/' in entry.f_code.co_filename
             and '/tests/' not in entry.f_code.co_filename]
    return ' < '.join(found)


def _work(act: Act, killer: _Killer | None) -> None:
    os.setpgid(0, 0)
    started = driver.DockerDriver(nova_api.VirtAPI())
    sys.setprofile(killer)
    act(started)
    sys.setprofile(None)


def _adopt(orphans: bool) -> None:
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(orphans)) != 0:
        raise OSError('prctl')


def _end_programs(group: int) -> None:
    """End those that a test which failed has not waited for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
        os.killpg(group, signal.SIGKILL)
        while True:
            os.waitpid(-group, 0)


def _end(work: Callable[[], None]) -> None:
    """Do a forked process's work, which is not the tests' own."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)
