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

"""What of the client needs no engine."""

from __future__ import annotations

import struct
from unittest import mock

import ddt
import docker
import requests

from nova_docker.engine import client
from nova_docker.engine import streams
from nova_docker import errors
from nova_docker.tests import base


def frame(stream: int, content: bytes) -> bytes:
    """Return a frame as the engine sends it."""
    return struct.pack('>BxxxL', stream, len(content)) + content


@ddt.ddt
class PayloadTestCase(base.TestCase):
    """A log of two streams, wherever the network cuts it."""

    SENT = (frame(1, b'one\n') + frame(2, b'') + frame(2, b'two\n') +
            frame(1, bytes(range(256))))
    SAID = b'one\ntwo\n' + bytes(range(256))

    @ddt.data(1, 2, 7, 8, 9, 13, 100, 10000)
    def test_pieces(self, size: int) -> None:
        pieces = [self.SENT[start:start + size]
                  for start in range(0, len(self.SENT), size)]
        self.assertEqual(self.SAID, b''.join(streams.payload(pieces)))

    def test_nothing(self) -> None:
        self.assertEqual([], list(streams.payload([])))
        self.assertEqual([], list(streams.payload([b'', b''])))

    def test_a_frame_is_handed_on_before_its_end(self) -> None:
        """Its length is the container's to choose."""
        pieces = streams.payload(iter([frame(1, b'x' * 100)[:58]]))
        self.assertEqual(b'x' * 50, next(pieces))


class _ApiTestCase(base.TestCase):
    """An engine that answers what a test says."""

    def setUp(self) -> None:
        super().setUp()
        self.api = mock.create_autospec(docker.APIClient, instance=True)
        patch = mock.patch.object(docker, 'APIClient', autospec=True,
                                  return_value=self.api)
        patch.start()
        self.addCleanup(patch.stop)
        self.engine = client.Engine('unix:///nowhere')


class RemoveTestCase(_ApiTestCase):
    """A container that the engine can't remove at once."""

    def answer(self, *statuses: int) -> None:
        """Let the engine refuse to remove a container, and then not."""
        self.api.remove_container.side_effect = [
            docker.errors.APIError('refused', self.response(status), 'why')
            for status in statuses] + [None]

    @staticmethod
    def response(status: int) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        return response

    def test_it_is_asked_again(self) -> None:
        """It has written of the container while it removed it."""
        self.answer(500)
        self.engine.remove('box')
        self.assertEqual(2, self.api.remove_container.call_count)

    def test_another_removal_is_waited_for(self) -> None:
        self.answer(409, 409, 404)
        self.engine.remove('box')
        self.assertEqual(3, self.api.remove_container.call_count)

    def test_what_another_removal_leaves_is_removed(self) -> None:
        self.answer(409, 500)
        self.engine.remove('box')
        self.assertEqual(3, self.api.remove_container.call_count)

    def test_nobody_waits_for_ever(self) -> None:
        self.answer(*[409] * 100)
        engine = client.Engine('unix:///nowhere', stream_timeout=0)
        self.assertRaises(errors.EngineConflict, engine.remove, 'box')

    def test_another_error_is_told(self) -> None:
        self.answer(400)
        self.assertRaises(errors.EngineBadRequest, self.engine.remove, 'box')
        self.assertEqual(1, self.api.remove_container.call_count)


class CheckpointsTestCase(_ApiTestCase):
    def test_an_engine_without_any_is_not_asked_for_them(self) -> None:
        for version in ({'Experimental': False}, {}):
            self.api.version.return_value = version
            self.engine.renegotiate()
            self.assertFalse(self.engine.has_checkpoint('box'))
            self.engine.remove_checkpoint('box')
        self.assertFalse(self.api._get.called)
        self.assertFalse(self.api._delete.called)

    def test_another_engine_may_have_some(self) -> None:
        self.api.version.return_value = {}
        self.assertFalse(self.engine.has_checkpoint('box'))
        self.api.version.return_value = {'Experimental': True}
        self.api._result.return_value = [{'Name': 'nova'}]
        self.engine.renegotiate()
        self.assertTrue(self.engine.has_checkpoint('box'))


@ddt.ddt
class FileStatTestCase(base.TestCase):
    @ddt.data((0o755, True), (0o644, True), (0x800001ed, False),
              (0x8000000 | 0o777, False), (0x2000000, False),
              (0x4000000, False), (0x1000000, False), (0x4200000, False))
    @ddt.unpack
    def test_is_file(self, mode: int, expected: bool) -> None:
        """The modes are Go's: os.ModeDir is the topmost bit."""
        self.assertIs(expected, client.FileStat(mode, 0, '').is_file)
