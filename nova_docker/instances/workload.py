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

"""The workload: the container that runs the instance's image."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
from typing import Any

from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import command
from nova_docker.instances import configdrive
from nova_docker.instances import injection
from nova_docker.instances import keys
from nova_docker import names
from nova_docker import spec


class Workload:
    """Makes workloads, sets their root disks aside and brings them back.

    An instance has one workload under its name. Another may be set aside
    meanwhile, under a name of its own: while the server is rescued, or until
    a resize that took a new container is confirmed.

    :param engine: where they run
    :param injected: writes the key pair
    :param files: writes the files that the user gives
    :param drives: makes config drives
    :param tag: tells the metadata of devices with a tag
    :param host: returns the facts that the create arguments depend on
    """

    def __init__(self, engine: client.Engine, injected: keys.Keys,
                 files: injection.Injection,
                 drives: configdrive.ConfigDrive,
                 tag: Callable[[objects.Instance], None],
                 host: Callable[[], spec.Host]) -> None:
        self._engine = engine
        self._keys = injected
        self._files = files
        self._drives = drives
        self._tag = tag
        self._host = host

    def check(self, instance: objects.Instance) -> None:
        """See that every key makes sense before anything is made.

        :raises BadSetting: naming the key that can't be used
        """
        self.body(instance, '')

    def body(self, instance: objects.Instance, image: str,
             **options: Any) -> client.Document:
        """Return what :func:`nova_docker.spec.workload` makes of it."""
        return spec.workload(instance, image, self._host(), **options)

    def create(self, instance: objects.Instance, image: str,
               details: configdrive.Details, *, binds: Sequence[str] = (),
               **options: Any) -> None:
        """Create the workload on the instance's sandbox; it is not started.

        :param image: the engine image
        :param details: what the user gives with the server
        :param options: as :func:`nova_docker.spec.workload` has them
        """
        name = names.workload(instance.uuid)
        drive = self._drives.create(instance)
        self._engine.create(name, self.body(
            instance, image, binds=[*binds, *drive], **options))
        command.check(self._engine, name)
        self._keys.inject(instance)
        self._files.write(instance, details.files)
        self._tag(instance)
        self._drives.fill(instance, details,
                          lambda: self._keys.owner(name))

    def set_aside(self, instance: objects.Instance) -> None:
        """Free the workload's name, keeping all that it is.

        Can be run again. :meth:`bring_back` is its twin.
        """
        if not self.is_aside(instance):
            self._engine.rename(names.workload(instance.uuid),
                                names.aside(instance.uuid))

    def bring_back(self, instance: objects.Instance) -> None:
        """Remove the workload and make the one set aside it again.

        Can be run again: with none set aside nothing is removed.
        """
        if self.is_aside(instance):
            self._engine.remove(names.workload(instance.uuid))
            self._engine.rename(names.aside(instance.uuid),
                                names.workload(instance.uuid))
            self._drives.discard(instance.uuid)

    def is_aside(self, instance: objects.Instance) -> bool:
        """Whether a workload is set aside."""
        with contextlib.suppress(errors.EngineNotFound):
            self._engine.container(names.aside(instance.uuid))
            return True
        return False
