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

"""An engine whose images are counted, and real archives of images."""

from __future__ import annotations

import pathlib
import uuid

from nova import context
from nova import objects

from nova_docker.images import store
from nova_docker import names
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional import base
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import glance

#: What every image of these tests has, to show that it is the right one.
MARKER = base.Entry('etc/marker', 'this is the image\n')


class ImageTestCase(base.EngineTestCase):
    """A test that shows what it leaves in the engine."""

    def holdings(self) -> tuple[int, list[str]]:
        """Return what the engine has: images, layers and temporary files."""
        info = self.engine.info()
        root = pathlib.Path(info['DockerRootDir'])
        layers = root / 'image' / info['Driver'] / 'layerdb' / 'sha256'
        found = [*layers.glob('*'), *(root / 'tmp').glob('*')]
        return info['Images'], sorted(map(str, found))

    def assert_holds(self, before: tuple[int, list[str]]) -> None:
        """The engine has what it had; it tidies up after its answer."""
        tests_base.wait_until(lambda: self.holdings() == before,
                              f'the engine has again {before}')

    def saved(self, *entries: base.Entry) -> bytes:
        """Return the archive of an image that the engine has no more."""
        reference = self.make_image(MARKER, *entries)
        content = b''.join(self.engine.save_image(reference))
        self.engine.remove_image(reference)
        return content

    def layout(self, layer: bytes, stored: bytes | None = None) -> bytes:
        """Return an OCI image layout of one layer.

        :param layer: the tar
        :param stored: the same, maybe compressed
        """
        layout = archives.Layout()
        return layout.packed(layout.image(
            [stored or layer], archives.config(
                [layer], architecture=store.architectures()[0])))

    def ensure(self, content: bytes | glance.Glance,
               container_format: str = 'docker',
               image_id: str | None = None) -> str:
        """Bring an image into the engine until the test ends."""
        source = (glance.Glance(lambda: archives.pieces(content, 2 ** 20))
                  if isinstance(content, bytes) else content)
        image_id = image_id or str(uuid.uuid4())
        self.addCleanup(self.engine.remove_image,
                        names.image_reference(image_id), force=True)
        return store.Store(self.engine, source.api).ensure(
            context.get_admin_context(), tests_base.make_instance(),
            image_meta(image_id, container_format))


def image_meta(image_id: str, container_format: str = 'docker'
               ) -> objects.ImageMeta:
    return objects.ImageMeta(id=image_id, container_format=container_format,
                             disk_format='raw')
