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

"""When signals end a command."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import io
import os
import signal

import ddt

from nova_docker.cmd import interruption
from nova_docker.tests import base


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@ddt.ddt
class InterruptionTestCase(base.TestCase):
    @ddt.data(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    def test_at_once(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        with interruption.Interruption():
            self.assertRaises(KeyboardInterrupt, interrupt, number)
        self.assertEqual(before, signal.getsignal(number))

    def test_what_is_ignored_stays_so(self) -> None:
        self.addCleanup(signal.signal, signal.SIGHUP,
                        signal.signal(signal.SIGHUP, signal.SIG_IGN))
        with interruption.Interruption():
            interrupt(signal.SIGHUP)

    def hold(self, pieces: Iterable[bytes], *,
             times: int) -> tuple[list[str], str]:
        """Send pieces, and be interrupted then.

        :returns: what was reached, and what the user was told
        """
        reached = []
        with contextlib.redirect_stderr(io.StringIO()) as said, \
                contextlib.suppress(KeyboardInterrupt), \
                interruption.Interruption() as interrupted:
            with interrupted.once_sent(pieces) as sent:
                next(sent)
                if next(sent, None) is None:
                    reached.append('sent')
                for _ in range(times):
                    interrupt()
                reached.append('done')
            reached.append('over')
        return reached, said.getvalue()

    def test_while_it_is_sent(self) -> None:
        self.assertEqual(([], ''), self.hold([b'1', b'2'], times=1))

    def test_once_it_is_sent(self) -> None:
        reached, said = self.hold([b'1'], times=1)
        self.assertEqual(['sent', 'done'], reached)
        self.assertIn('Interrupt again not to wait', said)

    def test_no_one_has_to_wait(self) -> None:
        reached, _ = self.hold([b'1'], times=2)
        self.assertEqual(['sent'], reached)

    def test_without_a_signal(self) -> None:
        self.assertEqual((['sent', 'done', 'over'], ''),
                         self.hold([b'1'], times=0))
