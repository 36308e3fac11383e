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

"""Tests of nova_docker.images.documents."""

from collections.abc import Mapping
from typing import Any
from unittest import mock

import ddt

from nova_docker.images import documents
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives

HERE = ('amd64', '386')


def blob(content: bytes) -> str:
    return f'blobs/sha256/{archives.digest(content)}'


def index(*entries: Mapping[str, Any]) -> bytes:
    return archives.encoded({'manifests': entries})


@ddt.ddt
class ParseTest(base.TestCase):

    @ddt.data(b'', b'{', b'\xff\xfe{\0}\0', b'{"a": 1, "a": 2}',
              b'{"b": {"a": 1, "a": 1}}', b'[' * 100_000,
              b'{"a":' * 100_000, b'1' * 10_000)
    def test_refuses(self, document: bytes) -> None:
        error = self.assertRaises(limits.Unacceptable, documents.parse,
                                  document, 'index.json')
        self.assertIn('index.json', error.reason)


@ddt.ddt
class SavedTest(base.TestCase):

    def find(self, manifest: Any) -> documents.Image:
        return documents.find(
            {'manifest.json': archives.encoded(manifest)}, HERE)

    def test_finds_the_parts(self) -> None:
        image = self.find([{'Config': './c.json', 'Layers': ['./1', '2']}])
        self.assertEqual('c.json', image.config)
        self.assertEqual(['1', '2'], image.layers)

    def test_an_image_may_have_no_layers(self) -> None:
        nothing: tuple[Any, ...] = ([], None)
        for layers in nothing:
            image = self.find([{'Config': 'c.json', 'Layers': layers}])
            self.assertEqual([], image.layers)

    @ddt.data(*(({}, 'manifest.json'), ([1], 'manifest.json'),
                ([{}], 'manifest.json'), ([{'Config': 1}], 'manifest.json'),
                ([{'Config': 'c', 'Layers': 'l'}], 'manifest.json'),
                ([{'Config': 'c', 'Layers': [1]}], 'manifest.json'),
                # Go would read this as Config.
                ([{'config': 'c'}], 'manifest.json'),
                ([], '0 images'), ([{}, {}], '2 images')))
    @ddt.unpack
    def test_refuses(self, manifest: Any, reason: str) -> None:
        error = self.assertRaises(limits.Unacceptable, self.find, manifest)
        self.assertIn(reason, error.reason)

    def test_refuses_what_has_neither(self) -> None:
        error = self.assertRaises(limits.Unacceptable, documents.find, {},
                                  HERE)
        self.assertIn('neither', error.reason)


class LayoutTest(base.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.layout = archives.Layout()

    def find(self, *entries: Mapping[str, Any]) -> documents.Image:
        return documents.find(
            {**self.layout.files, 'index.json': index(*entries)}, HERE)

    def refused(self, *entries: Mapping[str, Any]) -> str:
        return str(self.assertRaises(limits.Unacceptable, self.find,
                                     *entries))

    def test_finds_the_parts(self) -> None:
        image = self.find(self.layout.image())
        self.assertEqual(blob(archives.config()), image.config)
        self.assertEqual([blob(archives.LOWER), blob(archives.UPPER)],
                         image.layers)

    def test_prefers_the_manifest_of_docker_save(self) -> None:
        image = documents.find({
            'index.json': index(self.layout.image()),
            'manifest.json': archives.manifest(), **self.layout.files}, HERE)
        self.assertEqual('config.json', image.config)

    def test_chooses_this_hosts_platform(self) -> None:
        ours = self.layout.image(platform=archives.platform('amd64'))
        other = self.layout.image(
            [], archives.config([], architecture='arm64'),
            platform=archives.platform('arm64'))
        self.assertEqual(2, len(self.find(other, ours).layers))
        nested = self.layout.index(other, ours)
        self.assertEqual(2, len(self.find(nested).layers))

    def test_prefers_this_hosts_first_architecture(self) -> None:
        ours = self.layout.image(platform=archives.platform('amd64'))
        lesser = self.layout.image(
            [], archives.config([], architecture='386'),
            platform=archives.platform('386'))
        self.assertEqual(2, len(self.find(lesser, ours).layers))
        self.assertEqual(0, len(self.find(lesser).layers))

    def test_looks_into_the_configuration_without_a_platform(self) -> None:
        other = self.layout.image(
            [], archives.config([], architecture='arm64'))
        self.assertEqual(2, len(self.find(other,
                                          self.layout.image()).layers))

    def test_ignores_attestations(self) -> None:
        image = self.layout.image()
        by_platform = self.layout.image(
            [], archives.config([]),
            platform={'os': 'unknown', 'architecture': 'unknown'})
        by_annotation = self.layout.image(
            [], archives.config([]), annotations={
                'vnd.docker.reference.type': 'attestation-manifest'})
        found = self.find(by_platform, image, by_annotation)
        self.assertEqual(2, len(found.layers))

    def test_the_same_image_under_two_names_is_one(self) -> None:
        self.find(self.layout.image(annotations={'name': 'a'}),
                  self.layout.image(annotations={'name': 'b'}))

    def test_refuses_two_images(self) -> None:
        self.assertIn('2 images', self.refused(
            self.layout.image(),
            self.layout.image([], archives.config([]))))

    def test_refuses_other_platforms(self) -> None:
        reason = self.refused(
            self.layout.image(platform=archives.platform('arm64')),
            self.layout.image([], platform={'os': 'windows',
                                            'architecture': 'amd64'}))
        self.assertIn("for 'arm64', 'windows'", reason)

    def test_what_it_is_for_can_not_fill_a_terminal_or_command_it(
            self) -> None:
        reason = self.refused(*(self.layout.image(
            [str(number).encode()],
            platform=archives.platform(f'\x1b[2J{number}' + 'x' * 10_000))
            for number in range(100)))
        self.assertTrue(reason.isprintable())
        self.assertLess(len(reason), 1000)

    def assert_read_once(self, name: str, *entries: Mapping[str, Any]
                         ) -> None:
        """Check how often an image with these entries has a document read."""
        with mock.patch.object(documents, 'parse', autospec=True,
                               side_effect=documents.parse) as parse:
            self.find(*entries)
        self.assertEqual(1, [call.args[1] for call in parse.mock_calls].count(
            name))

    def test_reads_an_index_once(self) -> None:
        nested = self.layout.index(self.layout.image())
        self.assert_read_once(
            f"blobs/sha256/{nested['digest'].removeprefix('sha256:')}",
            *[nested] * 3)

    def test_reads_a_shared_configuration_once(self) -> None:
        config = archives.config([], architecture='arm64')
        others = [self.layout.image([layer], config) for layer in (b'', b'a')]
        self.assert_read_once(blob(config), self.layout.image(), *others)

    def test_refuses_too_many_entries(self) -> None:
        entries = [self.layout.image()] * 501
        self.assertIn('500 entries', self.refused(*entries))
        self.assertIn('500 entries', self.refused(
            self.layout.index(*entries)))

    def test_refuses_deep_nesting(self) -> None:
        inner = self.layout.index(self.layout.image())
        self.assertIn('nested', self.refused(self.layout.index(inner)))

    def test_refuses_a_damaged_blob(self) -> None:
        entry = self.layout.image()
        name = f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"
        self.layout.files[name] += b' '
        self.assertIn('match its digest', self.refused(entry))
        del self.layout.files[name]
        self.assertIn('missing', self.refused(entry))

    def test_refuses_odd_documents(self) -> None:
        odd = self.layout.blob(b'[]', 'manifest.v1+json')
        self.assertIn('not as it should be', self.refused(odd))
        odd_entries: list[Any] = [{}, {'digest': 1}, []]
        for entry in odd_entries:
            self.assertIn('not as it should be', self.refused(entry))
        for digest in ('md5:00', 'sha256:../../etc', 'sha256:' + 'A' * 64):
            self.assertIn('SHA-256', self.refused({'digest': digest}))
        self.assertIn('no image', self.refused())
