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

"""What Nova's suites need to judge this driver on a real engine.

Glance and Neutron are Nova's fixtures there. Glance's gets images that an
engine can run, and the switch, which none of these suites looks at, is the
one thing that is replaced.
"""

from collections.abc import Iterator
import hashlib
import io
import json
import os
import platform
import tarfile
from typing import Any
from unittest import mock

import docker
import fixtures
from nova.tests import fixtures as nova_fixtures
from oslo_privsep import priv_context

from nova_docker.network import sandbox
from nova_docker import privsep

_LABEL = 'org.openstack.nova.uuid'


def engine_url() -> str:
    """The engine to test on: DOCKER_HOST, as for every Docker client."""
    return os.environ.get('DOCKER_HOST') or 'unix:///var/run/docker.sock'


def archive() -> bytes:
    """A ``docker save`` archive of an image that sleeps."""
    layer = _tar({'sleep': sandbox.executable(platform.machine())})
    config = json.dumps({
        'architecture': 'amd64' if platform.machine() == 'x86_64' else 'arm64',
        'os': 'linux',
        'config': {'Cmd': ['/sleep']},
        'rootfs': {'type': 'layers', 'diff_ids': [
            'sha256:' + hashlib.sha256(layer).hexdigest()]},
        'history': [{'created_by': 'conformance'}],
    }).encode()
    name = hashlib.sha256(config).hexdigest() + '.json'
    manifest = [{'Config': name, 'RepoTags': ['conformance:latest'],
                 'Layers': ['layer.tar']}]
    return _tar({'layer.tar': layer, name: config,
                 'manifest.json': json.dumps(manifest).encode()})


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w') as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


class GlanceFixture(nova_fixtures.GlanceFixture):
    """Nova's fixture with container images in it.

    It also returns what it downloads where it is given no file to write to,
    and reads what it is given to upload, as Nova's client of Glance does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.make_containers(self)

    @staticmethod
    def make_containers(glance: Any) -> None:
        """Make a container image of every image in a fixture."""
        for image in glance.images.values():
            image.update(container_format='docker', disk_format='raw',
                         size=len(archive()))

    def download(self, context: Any, image_id: str, data: Any = None,
                 dst_path: str | None = None, trusted_certs: Any = None,
                 ) -> Iterator[bytes] | None:
        self._imagedata.setdefault(image_id, archive())
        if data is None and dst_path is None:
            self.show(context, image_id)
            return iter([self._imagedata[image_id]])
        super().download(context, image_id, data, dst_path, trusted_certs)
        return None

    def update(self, context: Any, image_id: str, metadata: dict[str, Any],
               data: Any = None, purge_props: bool = False) -> Any:
        updated = super().update(context, image_id, metadata, data,
                                 purge_props)
        if data is not None:
            self._imagedata[image_id] = b''.join(iter(
                lambda: data.read(65536), b''))
        return updated


class PrivsepInProcess(fixtures.Fixture):
    """Let this process, which is root's, do what privsep's daemon would."""

    def _setUp(self) -> None:
        for each in vars(privsep).values():
            if isinstance(each, priv_context.PrivContext):
                self.useFixture(fixtures.MockPatchObject(
                    each, 'client_mode', False))


class NoSwitch(fixtures.Fixture):
    """Plug nothing into Open vSwitch; the rest of the wiring is real."""

    def _setUp(self) -> None:
        for name in ('plug', 'unplug'):
            patch = mock.patch(f'os_vif.{name}', autospec=True)
            patch.start()
            self.addCleanup(patch.stop)


class EngineFixture(fixtures.Fixture):
    """The engine, and nothing on it afterwards that was not there before."""

    def _setUp(self) -> None:
        self.client = docker.DockerClient(base_url=engine_url())
        self.addCleanup(self.client.close)
        before = {each.id for each in self.instances()}
        self.addCleanup(self._remove, before)

    def instances(self) -> list[Any]:
        """Every container of this driver, sandboxes too."""
        found: list[Any] = self.client.containers.list(
            all=True, filters={'label': _LABEL})
        return found

    def _remove(self, kept: set[str]) -> None:
        for each in self.instances():
            if each.id not in kept:
                each.remove(force=True, v=True)
