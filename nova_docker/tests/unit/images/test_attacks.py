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

"""Tests of nova_docker.images.archive: every attack."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import gzip
import itertools
import json
import tarfile
from unittest import mock

import ddt

from nova_docker.images import archive
from nova_docker.images import limits
from nova_docker.images import sharing
from nova_docker.images import tarstream
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import base
from nova_docker.tests.unit.images import polyglots
from nova_docker.tests.unit.images import test_tarstream as raw


@ddt.ddt
class AttackTest(base.ArchiveTestCase):

    def changed(self, changes: Mapping[str, bytes]) -> bytes:
        return archives.tar(archives.saved(changes).items())

    def with_members(self, *members: archives.Member) -> bytes:
        return archives.tar([*members, *archives.saved().items()])

    def with_raw(self, *blocks: bytes) -> bytes:
        return b''.join(blocks) + archives.tar(archives.saved().items())

    @ddt.data('docker.io/library/busybox:latest', 'nova-docker/sandbox:1',
              'nova-docker/image:11111111-2222-3333-4444-555555555555')
    def test_a_tag_that_is_anothers(self, tag: str) -> None:
        content = self.changed({
            'repositories': archives.encoded({tag: {'latest': '0'}}),
            'manifest.json': archives.manifest(RepoTags=[tag, 'b'])})
        self.assertEqual(-1, self.sanitise(content).find(tag.encode()))

    @ddt.data('/etc/passwd', '../../etc/passwd', 'a/../../b', 'a/./b', 'a//b',
              '..', 'a\\b', 'a\nb', 'blobs/', './', './.')
    def test_a_name_that_leads_elsewhere(self, name: str) -> None:
        self.assertIn('not allowed',
                      self.refused(self.with_members((name, b'x'))))

    def test_a_directory_that_leads_elsewhere(self) -> None:
        for name in ('/', '../a', 'a/../../b'):
            self.assertIn('not allowed', self.refused(self.with_members(
                archives.special(name, tarfile.DIRTYPE))))

    @ddt.data(tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
              tarfile.FIFOTYPE, tarfile.CONTTYPE, b'V')
    def test_a_member_that_is_no_file(self, kind: bytes) -> None:
        self.assertIn('no file', self.refused(self.with_members(
            archives.special('device', kind, 'config.json'))))

    @ddt.data('/etc/passwd', '../../etc/passwd', '../..')
    def test_a_link_that_leads_elsewhere(self, target: str) -> None:
        self.assertIn('out of the archive', self.refused(self.with_members(
            archives.special('a/link', tarfile.SYMTYPE, target))))

    @ddt.data('manifest.json', 'config.json')
    def test_a_document_that_is_a_link(self, name: str) -> None:
        files = archives.saved()
        files['real'] = files.pop(name)
        link = archives.special(name, tarfile.SYMTYPE, 'real')
        self.refused(archives.tar([link, *files.items()]))

    def test_a_chain_of_links(self) -> None:
        files = archives.saved()
        files['real'] = files.pop('0/layer.tar')
        self.assertIn('missing', self.refused(archives.tar([
            archives.special('0/layer.tar', tarfile.SYMTYPE, '../a'),
            archives.special('a', tarfile.SYMTYPE, '0/layer.tar'),
            *files.items()])))

    @ddt.data('manifest.json', 'config.json', '0/layer.tar', 'index.json')
    def test_a_member_given_twice(self, name: str) -> None:
        content = archives.saved().get(name, b'{}')
        for first in ((name, content), (f'./{name}', content),
                      archives.special(name, tarfile.SYMTYPE, 'x')):
            self.assertIn('twice', self.refused(
                self.with_members(first, ('index.json', b'{}'))))

    def test_names_that_differ_in_case(self) -> None:
        content = archives.tar([
            *archives.saved().items(),
            ('Manifest.json', archives.manifest(RepoTags=['busybox:latest'])),
            ('MANIFEST.JSON', b'[]'), ('Repositories', b'{"a": {}}')])
        self.assert_image(self.sanitise(content), self.both)

    def test_a_key_given_twice(self) -> None:
        document = archives.manifest().decode().replace(
            '"Config"', '"Config": "config.json", "Config"', 1)
        self.assertIn('key twice', self.refused(
            self.changed({'manifest.json': document.encode()})))

    def test_deeply_nested_json(self) -> None:
        for name in ('manifest.json', 'config.json'):
            self.assertIn('not valid JSON', self.refused(
                self.changed({name: b'[' * 100_000})))

    def test_json_that_is_too_large(self) -> None:
        for name in ('manifest.json', 'config.json'):
            self.assertIn('too large', self.refused(self.changed(
                {name: b'{"a": "%b"}' % (b'a' * limits.MAX_DOCUMENT)})))

    def test_too_much_json_in_all(self) -> None:
        document = b'{"a": "%b"}' % (b'a' * (limits.MAX_DOCUMENT - 100))
        self.assertIn('too large', self.refused(self.with_members(
            *((str(number), document) for number in range(9)))))

    def test_a_size_that_is_a_lie(self) -> None:
        for size in (2 ** 40, 2 ** 59):
            self.assertIn('truncated', self.refused(self.with_raw(
                tarstream.encode('large', size))))

    def test_a_pax_header_that_changes_the_size(self) -> None:
        # What one reader takes for data is a member to another.
        smuggled = archives.tar([('manifest.json', archives.manifest(
            RepoTags=['busybox:latest']))])[:1024]
        content = self.with_raw(
            raw.extended(b'x', raw.record('size', str(len(smuggled)))),
            raw.header(name=b'data', size=b'0'), smuggled)
        found = self.assert_image(self.sanitise(content), self.both)
        self.assertNotIn(b'busybox', found['manifest.json'])

    def test_a_pax_header_that_changes_the_name(self) -> None:
        self.assertIn('not allowed', self.refused(self.with_raw(
            raw.extended(b'x', raw.record('path', '../../etc/passwd')),
            raw.header())))
        self.assertIn('twice', self.refused(self.with_raw(
            raw.extended(b'x', raw.record('path', 'manifest.json')),
            raw.header())))

    def test_a_pax_header_for_all_members(self) -> None:
        self.assertIn('all members', self.refused(self.with_raw(
            raw.extended(b'g', raw.record('path', 'manifest.json')))))

    def test_too_many_members(self) -> None:
        with mock.patch.object(limits, 'MAX_MEMBERS', 20):
            self.assertIn('more than 20 members', self.refused(
                self.with_members(*((str(number), b'')
                                    for number in range(21)))))
            self.assertIn('more than 20 members', self.refused(
                self.with_members(*(
                    archives.special(str(number), tarfile.DIRTYPE)
                    for number in range(21)))))

    @ddt.data(b'x', b'g', b'L', b'K')
    def test_too_many_headers_of_few_members(self, kind: bytes) -> None:
        many = raw.extended(kind, raw.record('comment', '')) * 21
        with mock.patch.object(limits, 'MAX_MEMBERS', 20):
            self.assertIn('more than 20 members',
                          self.refused(self.with_raw(many)))
        with mock.patch.object(limits, 'MAX_FILES', 20):
            self.assertIn('more than 20 files', self.refused(archives.tar(
                archives.saved(layers=[many + archives.LOWER]).items())))

    def test_too_many_files_in_the_layers(self) -> None:
        with mock.patch.object(limits, 'MAX_FILES', 20):
            layer = archives.tar((str(number), b'') for number in range(21))
            self.assertIn('more than 20 files', self.refused(
                archives.tar(archives.saved(layers=[layer]).items())))

    @ddt.data(gzip.compress, archives.zstd)
    def test_a_bomb(self, compress: Callable[[bytes], bytes]) -> None:
        layer = archives.tar([('zeros', bytes(2 ** 25))])
        self.assertIn('unpacks to more', self.refused(
            compress(archives.tar(archives.saved(layers=[layer]).items())),
            limit=2 ** 24))

    @ddt.data(gzip.compress, archives.zstd)
    def test_a_bomb_in_a_layer(self, compress: Callable[[bytes], bytes]
                               ) -> None:
        layer = compress(archives.tar([('zeros', bytes(2 ** 25))]))
        content = archives.tar(archives.saved(layers=[layer]).items())
        self.assertIn('unpacks to more', self.refused(content, limit=2 ** 24))

    @ddt.data(*itertools.product((polyglots.zstd, polyglots.xz),
                                 (bytes, archives.zstd)))
    @ddt.unpack
    def test_a_bomb_to_the_engine_that_is_a_plain_layer_here(
            self, make: Callable[[bytes], bytes],
            compress: Callable[[bytes], bytes]) -> None:
        layer = make(archives.tar([('zeros', bytes(2 ** 25))]))
        content = archives.tar(
            archives.saved(layers=[compress(layer)]).items())
        self.assertIn('as compressed data does',
                      self.refused(content, limit=2 ** 24))

    def test_a_sparse_file_in_a_layer(self) -> None:
        layer = raw.header(kind=b'S') + tarstream.END
        self.assertIn('sparse', self.refused(
            archives.tar(archives.saved(layers=[layer]).items())))

    def test_a_layer_of_another_image_by_its_digest_alone(self) -> None:
        stolen = archives.config([archives.UPPER])
        for bait in (archives.LOWER, bytes(1024)):
            files = archives.saved({'config.json': stolen}, [bait])
            self.assertIn('layer 1 does not match',
                          self.refused(archives.tar(files.items())))

    def test_a_layer_that_the_engine_would_take_unseen(self) -> None:
        asked: list[Sequence[str]] = []

        def admit(digests: Sequence[str]) -> None:
            asked.append(digests)
            raise sharing.Unproven

        passed = archive.sanitised(
            [archives.tar(archives.saved().items())], base.TAG,
            architectures=['amd64'], limit=archives.ROOM, hashed=False,
            admit=admit)
        content = bytearray()

        def consume() -> None:
            for piece in passed:
                content.extend(piece)
        self.assertRaises(sharing.Unproven, consume)
        self.assertEqual(-1, content.find(base.TAG.encode()))
        self.assertEqual([[f'sha256:{archives.digest(layer)}'
                           for layer in self.both]], asked)

    @ddt.data('../../var/lib/secret', '/etc/passwd', 'config.json',
              'manifest.json', 'missing', '0')
    def test_a_layer_outside(self, name: str) -> None:
        self.assertIn('missing', self.refused(self.changed({
            'manifest.json': archives.manifest(Layers=[name])})))

    @ddt.data('../../etc/passwd', '/etc/passwd', 'missing', '0/layer.tar')
    def test_a_configuration_outside(self, name: str) -> None:
        self.assertIn('missing', self.refused(self.changed({
            'manifest.json': archives.manifest(Config=name)})))

    def test_a_layer_too_few(self) -> None:
        self.assertIn('names 2 layers', self.refused(self.changed({
            'manifest.json': archives.manifest(Layers=['0/layer.tar'])})))

    def test_a_layer_that_is_none(self) -> None:
        for content in (b'#!/bin/sh\n', b'BZh9' + b'x' * 1000, b''):
            self.assertIn('no tar archive', self.refused(
                self.changed({'0/layer.tar': content})))
        self.assertIn('damaged', self.refused(self.changed({
            '0/layer.tar': gzip.compress(b'x' * 1000)})))

    def test_another_architecture(self) -> None:
        self.assertIn("it is for 'arm64'", self.refused(self.changed({
            'config.json': archives.config(architecture='arm64')})))

    def test_several_images(self) -> None:
        both = json.loads(archives.manifest()) * 2
        self.assertIn('2 images', self.refused(
            self.changed({'manifest.json': archives.encoded(both)})))

    def test_truncated_or_damaged_anywhere(self) -> None:
        content = archives.tar(archives.saved().items())
        for packed in (content, gzip.compress(content),
                       archives.zstd(content)):
            end = len(packed) - (len(content) - len(content.rstrip(b'\0'))
                                 if packed is content else 0)
            for cut in range(0, end, max(1, end // 50)):
                self.refused(packed[:cut])
        for place in range(600, len(archives.LOWER), 97):
            damaged = bytearray(content)
            damaged[place] ^= 1
            if damaged[place - 512:place] != bytes(512):
                self.refused(bytes(damaged))

    def test_something_else(self) -> None:
        self.assertIn('it is empty', self.refused(b''))
        self.assertIn('QCOW', self.refused(b'QFI\xfb' + bytes(100_000)))
        self.assertIn('bare', self.refused(archives.tar(
            [('bin/sh', b'\x7fELF')])))
        self.assertIn('bare', self.refused(archives.tar(
            [archives.special('bin', tarfile.SYMTYPE, '/usr/bin')])))
