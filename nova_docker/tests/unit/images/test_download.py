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

"""Tests of nova_docker.images.download."""

from collections.abc import Iterator
from collections.abc import Sequence
import hashlib
import threading

from cryptography import exceptions as cryptography_exceptions
import fixtures
from nova import context
from nova.image import glance as nova_glance

from nova_docker.images import download
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import glance


class DownloadTest(base.TestCase):

    def start(self, source: glance.Glance, timeout: int = base.PATIENCE
              ) -> download.Download:
        return download.signed(source.api, context.get_admin_context(),
                               'image', None, timeout)

    def test_hands_everything_on(self) -> None:
        pieces = [bytes([number]) * 1000 for number in range(100)]
        with self.start(glance.Glance(lambda: pieces)) as stream:
            self.assertEqual(pieces, list(stream))

    def test_asks_nova_to_verify(self) -> None:
        source = glance.Glance(list)
        with download.signed(source.api, context.get_admin_context(),
                             'image', 'certs', base.PATIENCE) as stream:
            self.assertEqual([], list(stream))
        self.assertEqual(['certs'], source.downloads)

    def test_a_wrong_signature_comes_at_the_end(self) -> None:
        def pieces() -> Iterator[bytes]:
            yield b'all'
            raise cryptography_exceptions.InvalidSignature

        with self.start(glance.Glance(pieces)) as stream:
            found = iter(stream)
            self.assertEqual(b'all', next(found))
            self.assertRaises(cryptography_exceptions.InvalidSignature, next,
                              found)

    def test_a_wrong_checksum_is_told(self) -> None:
        def pieces() -> Iterator[bytes]:
            yield b'all'
            raise OSError(32, 'Corrupt image download')

        with self.start(glance.Glance(pieces)) as stream:
            error = self.assertRaises(limits.Unacceptable, list, stream)
        self.assertIn('Corrupt image download', error.reason)

    def test_a_download_that_nobody_reads_ends(self) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b'more'

        source = glance.Glance(endless)
        with self.start(source) as stream:
            next(iter(stream))
        self.assertTrue(source.idle.wait(base.PATIENCE))

    def test_a_silent_glance_is_given_up(self) -> None:
        def silent() -> Iterator[bytes]:
            given_up.wait(base.PATIENCE)
            yield b'late'

        given_up = threading.Event()
        with self.start(glance.Glance(silent), timeout=1) as stream:
            error = self.assertRaises(limits.Unacceptable, list, stream)
        given_up.set()
        self.assertIn('sent nothing for 1 s', error.reason)


class PromisedTest(base.TestCase):
    PIECES = (b'what', b'was', b'sent')

    def setUp(self) -> None:
        super().setUp()
        self.client = self.useFixture(fixtures.MockPatchObject(
            nova_glance, 'GlanceClientWrapper', autospec=True)).mock

    def receive(self, sent: Sequence[bytes] | None) -> list[bytes]:
        """Read what Glance has, of which another host has told PIECES."""
        self.client.return_value.call.return_value = sent
        digest = hashlib.sha256(b''.join(self.PIECES)).hexdigest()
        with download.promised(context.get_admin_context(), 'image', digest,
                               base.PATIENCE) as stream:
            return list(stream)

    def test_it_is_what_was_sent(self) -> None:
        self.assertEqual(list(self.PIECES), self.receive(self.PIECES))

    def test_it_is_something_else(self) -> None:
        for sent in ((b'what', b'was', b'lost'), self.PIECES[:2], (), None):
            error = self.assertRaises(limits.Unacceptable, self.receive, sent)
            self.assertIn('not what the other compute host sent',
                          error.reason)
