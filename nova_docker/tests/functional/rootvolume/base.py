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

"""Servers whose root disk is a volume, on a real engine."""

from __future__ import annotations

import json
import pathlib
from typing import Any
import uuid

from nova.network import model

from nova import objects
from nova_docker.conf import CONF
from nova_docker.instances import configdrive
from nova_docker import names
from nova_docker.tests.functional import base as functional
from nova_docker.tests.functional.volumes import base as volumes


class RootTestCase(volumes.VolumesTestCase):
    """A test with an image and a volume that is to be a root disk."""

    def setUp(self) -> None:
        super().setUp()
        self.image_id = str(uuid.uuid4())
        self.power = self.make_power()

    def use_image(self, *entries: functional.Entry,
                  changes: tuple[str, ...] = ('CMD ["/bin/sh"]',)) -> None:
        """Have an image in Glance, which the engine has as well."""
        made = self.make_image(*entries, changes=changes)
        reference = names.image_reference(self.image_id)
        self.engine.tag_image(made, reference)
        self._images.append(reference)
        self.image_api.get.return_value = {
            'id': self.image_id, 'container_format': 'bare',
            'disk_format': 'raw', 'properties': {}}

    def boot(self, volume: volumes.Volume, *command: str, start: bool = True,
             given: tuple[tuple[str, bytes], ...] = (),
             **fields: Any) -> objects.Instance:
        """Boot a server from a volume."""
        instance = self.make_instance(**fields)
        if command:
            instance.metadata['docker:command'] = json.dumps(command)
        self.boxes.ensure(instance, [], [])
        self.addCleanup(self.roots.discard, instance.uuid)
        self.attachments.attach(self.context, instance, volume.connection,
                                '/dev/vda', root=True)
        self.roots.prepare(self.context, instance,
                           objects.ImageMeta(id=self.image_id))
        self.workloads.create(
            instance, names.GATE_IMAGE,
            configdrive.Details(model.NetworkInfo(), given),
            root=self.workloads.root(instance))
        if start:
            self.workloads.start(instance)
        return instance

    def delete(self, instance: objects.Instance) -> None:
        """Delete a server, but not its volume."""
        self.make_destroy()(instance, model.NetworkInfo())

    def place(self, instance: objects.Instance) -> pathlib.Path:
        """Return where the root volume of an instance is on the host."""
        return pathlib.Path(CONF.docker.mounts_path, instance.uuid, 'root',
                            'vda')
