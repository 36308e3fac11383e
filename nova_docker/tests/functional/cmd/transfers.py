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

"""Run nova-docker-image between a real engine and a real Glance."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import io
import pathlib
from typing import Any
from typing import ClassVar
import uuid

import fixtures
import openstack

from nova_docker.cmd import image
from nova_docker.tests import base as tests_base
from nova_docker.tests.functional.cmd import glance
from nova_docker.tests.functional.images import base


class ImageCommandTestCase(base.ImageTestCase):
    glance: ClassVar[glance.Glance]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.glance = glance.Glance(cls)

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLIENT_CONFIG_FILE', str(self.glance.clouds)))
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        connection = openstack.connect(cloud='test')
        self.addCleanup(connection.close)
        self.api = connection.image
        self.addCleanup(self._empty)

    def _empty(self) -> None:
        for hidden in ('false', 'true'):
            for each in self.listed(os_hidden=hidden):
                self.api.delete(f"/images/{each['id']}")

    def listed(self, **filters: str) -> list[dict[str, Any]]:
        """Return what Glance shows in a list."""
        return list(self.api.get('/images', params=filters).json()['images'])

    def command(self, *arguments: str, cloud: str = 'test',
                expected: int = 0) -> str:
        """Run the command; return what it prints, or says if it fails."""
        said, printed = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), \
                contextlib.redirect_stdout(printed):
            status = image.main([
                *(['--os-cloud', cloud] if cloud else []), '--docker-url',
                self.url, *arguments])
        self.assertEqual(expected, status, said.getvalue())
        if not status:
            return printed.getvalue().strip()
        self.assertEqual('', printed.getvalue())
        *before, sentence = said.getvalue().splitlines()
        if status != 130:
            self.assertEqual([], before)
        return sentence

    def shown(self, image_id: str) -> dict[str, Any]:
        """Return an image as Glance has it."""
        return dict(self.api.get(f'/images/{image_id}').json())

    def name(self) -> str:
        """Return a name for an engine image that goes with the test."""
        name = f'nova-docker-test/pulled:{uuid.uuid4()}'
        self.addCleanup(self.engine.remove_image, name, force=True)
        return name

    def file(self, content: bytes) -> str:
        """Return the path of a file."""
        path = self.home / str(uuid.uuid4())
        path.write_bytes(content)
        return str(path)

    def assert_nothing_left(self) -> None:
        """Fail if Glance has an image; it may yet remove the data of one."""
        self.assertEqual([], self.listed())
        tests_base.wait_until(lambda: not self.glance.files(),
                              'Glance has no data')

    def during(self, act: Callable[[], None]) -> None:
        """Have something happen as soon as a transfer is under way."""
        def report(quiet: bool, label: str, total: int,
                   pieces: Iterable[bytes]) -> Iterator[bytes]:
            for number, piece in enumerate(pieces):
                if number == 1:
                    act()
                yield piece
        self.useFixture(fixtures.MockPatchObject(image, '_report', report))
