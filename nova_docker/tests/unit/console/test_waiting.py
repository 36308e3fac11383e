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

"""Waiting for descriptors, in native threads and in eventlet's."""

import os
import select
import socket

import ddt
import fixtures
from oslotest import base

from nova_docker.console import waiting


@ddt.ddt
class ReadyTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.other = socket.socketpair()
        self.addCleanup(self.one.close)
        self.addCleanup(self.other.close)

    def ready(self, events: int, timeout: float | None = 60) -> int:
        """Return what one of two sockets is ready for; 0 for nothing."""
        number = self.one.fileno()
        return waiting.ready({number: events}, timeout).get(number, 0)

    def without_poll(self) -> None:
        """Be as in a thread of eventlet's, which has no select.poll."""
        self.useFixture(fixtures.MonkeyPatch(
            'select.poll', fixtures.MonkeyPatch.delete))

    @ddt.data(True, False)
    def test_what_is_asked_for(self, native: bool) -> None:
        if not native:
            self.without_poll()
        both = select.POLLIN | select.POLLOUT
        self.assertEqual(0, self.ready(select.POLLIN, 0))
        self.assertEqual(select.POLLOUT, self.ready(both))
        self.other.send(b'.')
        self.assertEqual(both, self.ready(both, None))
        self.assertEqual(select.POLLIN, self.ready(select.POLLIN))
        self.assertEqual(0, self.ready(0, 0))

    def test_an_end_is_told_of_unasked(self) -> None:
        self.other.close()
        self.assertEqual(select.POLLHUP, self.ready(0))

    @ddt.data(True, False)
    def test_a_plain_descriptor(self, native: bool) -> None:
        if not native:
            self.without_poll()
        counter = os.eventfd(1)
        self.addCleanup(os.close, counter)
        self.assertEqual(
            {counter: select.POLLIN},
            waiting.ready({counter: select.POLLIN}, None))
