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

"""Tests of nova_docker.images.archive: what may pass."""

from collections.abc import Callable
import gzip
import tarfile
from unittest import mock

import ddt

from nova_docker.images import archive
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import base


@ddt.ddt
class SavedTest(base.ArchiveTestCase):

    def test_one_image_with_our_tag_comes_out(self) -> None:
        content = archives.tar(archives.saved().items())
        for size in (10, 1000, 2 ** 20):
            found = self.assert_image(self.sanitise(content, size=size),
                                      self.both)
            self.assertNotIn(b'someone', found['manifest.json'])

    def test_no_tag_comes_out_without_one(self) -> None:
        content = archives.tar(archives.saved().items())
        self.assert_image(self.sanitise(content, None), self.both, None)

    def test_what_the_engine_checks_itself_is_not_hashed(self) -> None:
        content = archives.tar(archives.saved().items())
        with mock.patch('hashlib.sha256') as sha256:
            passed = b''.join(archive.sanitised(
                [content], base.TAG, architectures=['amd64'],
                limit=archives.ROOM, hashed=False))
        sha256.assert_not_called()
        self.assert_image(passed, self.both)

    @ddt.data(gzip.compress, archives.zstd)
    def test_compressed_as_a_whole(self, compress: Callable[[bytes], bytes]
                                   ) -> None:
        content = compress(archives.tar(archives.saved().items()))
        self.assert_image(self.sanitise(content), self.both)

    @ddt.data(tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    def test_in_any_tar_format(self, form: int) -> None:
        content = archives.tar(
            [archives.special('./', tarfile.DIRTYPE),
             archives.special('./0', tarfile.DIRTYPE),
             *((f'./{name}', data)
               for name, data in archives.saved().items())], format=form)
        self.assert_image(self.sanitise(content), self.both)

    def test_gzip_layers_pass_as_they_are(self) -> None:
        packed = [gzip.compress(layer) for layer in self.both]
        content = archives.tar(archives.saved({
            '0/layer.tar': packed[0], '1/layer.tar': packed[1]}).items())
        self.assert_image(self.sanitise(content), packed)

    def test_a_repeated_layer_may_be_a_link(self) -> None:
        files = archives.saved(layers=[archives.LOWER])
        files['manifest.json'] = archives.manifest()
        files['config.json'] = archives.config([archives.LOWER] * 2)
        link = archives.special('1/layer.tar', tarfile.SYMTYPE,
                                '../0/layer.tar')
        either: list[list[archives.Member]] = [[link, *files.items()],
                                               [*files.items(), link]]
        for members in either:
            self.assert_image(self.sanitise(archives.tar(members)),
                              [archives.LOWER] * 2)

    def test_an_image_without_layers(self) -> None:
        content = archives.tar(archives.saved(layers=[]).items())
        self.assert_image(self.sanitise(content), [])

    def test_docker_25_writes_both_formats(self) -> None:
        layout = archives.Layout()
        layout.files['manifest.json'] = archives.manifest(
            Config=f'blobs/sha256/{archives.digest(archives.config())}',
            Layers=[f'blobs/sha256/{archives.digest(layer)}'
                    for layer in self.both])
        content = layout.packed(layout.image(annotations={
            'io.containerd.image.name': 'docker.io/someone/else:latest',
            'org.opencontainers.image.ref.name': 'latest'}))
        self.assertNotIn(b'someone',
                         self.assert_image(self.sanitise(content),
                                           self.both)['manifest.json'])

    def test_our_labels_do_not_pass(self) -> None:
        files = archives.saved({'config.json': archives.config(
            config={'Labels': {'org.openstack.nova.role': 'workload'}})})
        found = self.assert_image(self.sanitise(archives.tar(files.items())),
                                  self.both)
        self.assertNotIn(b'org.openstack', found['config.json'])


@ddt.ddt
class LayoutTest(base.ArchiveTestCase):

    def test_becomes_what_an_old_engine_reads(self) -> None:
        layout = archives.Layout()
        self.assert_image(self.sanitise(layout.packed(layout.image())),
                          self.both)

    @ddt.data(gzip.compress, archives.zstd)
    def test_compressed_as_a_whole(self, compress: Callable[[bytes], bytes]
                                   ) -> None:
        layout = archives.Layout()
        content = compress(layout.packed(layout.image()))
        self.assert_image(self.sanitise(content), self.both)

    def test_gzip_layers_pass_as_they_are(self) -> None:
        packed = [gzip.compress(layer) for layer in self.both]
        layout = archives.Layout()
        self.assert_image(self.sanitise(layout.packed(layout.image(packed))),
                          packed)

    def test_zstd_layers_pass_unpacked(self) -> None:
        layout = archives.Layout()
        image = layout.image([archives.zstd(layer) for layer in self.both])
        self.assert_image(self.sanitise(layout.packed(image)), self.both)

    def test_other_platforms_stay_behind(self) -> None:
        layout = archives.Layout()
        ours = layout.image(platform=archives.platform('amd64'))
        other = archives.tar([('arm', b'64')])
        theirs = layout.image(
            [other], archives.config([other], architecture='arm64'),
            platform=archives.platform('arm64'))
        content = layout.packed(layout.index(theirs, ours))
        self.assert_image(self.sanitise(content), self.both)

    def test_a_damaged_layer(self) -> None:
        layout = archives.Layout()
        image = layout.image()
        name = f'blobs/sha256/{archives.digest(archives.UPPER)}'
        layout.files[name] = archives.LOWER
        self.assertIn('layer 2', self.refused(layout.packed(image)))
