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

"""Streams that a thread reads ahead of who takes them."""

from collections.abc import Generator
import contextlib
import threading

from nova_docker.images import readahead
from nova_docker.tests import base


class AheadTest(base.TestCase):

    def test_hands_everything_on(self) -> None:
        pieces = [bytes([number % 256]) * 50_000 for number in range(200)]
        found = list(readahead.ahead(piece for piece in pieces))
        self.assertEqual(b''.join(pieces), b''.join(found))
        self.assertLess(len(found), 20)

    def test_nothing_is_nothing(self) -> None:
        self.assertEqual([], list(readahead.ahead(_nothing())))

    def test_reads_while_nobody_asks(self) -> None:
        read = threading.Event()

        def pieces() -> Generator[bytes, None, None]:
            yield bytes(2 ** 20)
            read.set()
            yield b'more'

        with contextlib.closing(readahead.ahead(pieces())) as found:
            self.assertEqual(2 ** 20, len(next(found)))
            self.assertTrue(read.wait(base.PATIENCE))
            self.assertEqual(b'more', next(found))

    def test_an_error_comes_after_what_was_before_it(self) -> None:
        def pieces() -> Generator[bytes, None, None]:
            yield bytes(2 ** 20)
            raise ValueError('broken')

        found = readahead.ahead(pieces())
        self.assertEqual(2 ** 20, len(next(found)))
        self.assertRaisesRegex(ValueError, 'broken', next, found)

    def test_what_nobody_wants_is_closed(self) -> None:
        closed = []

        def endless() -> Generator[bytes, None, None]:
            try:
                while True:
                    yield bytes(2 ** 20)
            finally:
                closed.append(threading.current_thread().name)

        before = threading.active_count()
        found = readahead.ahead(endless())
        next(found)
        found.close()
        self.assertEqual(['read ahead'], closed)
        self.assertEqual(before, threading.active_count())

    def test_it_does_not_fill_the_memory(self) -> None:
        made = []

        def endless() -> Generator[bytes, None, None]:
            while True:
                made.append(True)
                yield bytes(2 ** 20)

        with contextlib.closing(readahead.ahead(endless())) as found:
            for _ in range(20):
                next(found)
            self.assertLessEqual(len(made), 20 + 10)


def _nothing() -> Generator[bytes, None, None]:
    yield from ()
