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

"""Volumes of this machine: loop devices, through os-brick."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
import pathlib
import subprocess
import threading
from typing import Any
import uuid

import fixtures
from nova.network import model
from os_brick import privileged

from nova import context
from nova import objects
from nova_docker.conf import CONF
from nova_docker.instances import configdrive
from nova_docker import names
from nova_docker.privsep import mounttable
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional.volumes import encryptor

MIB = 1 << 20


def run(*command: str | pathlib.Path) -> str:
    """Run a program of this machine and return what it says."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


class Volume:
    """A volume: a file, a loop device of it, and what Cinder would say.

    :param path: of the file, which is made if it is not there
    :param size: in MiB
    """

    def __init__(self, path: pathlib.Path, size: int = 64) -> None:
        self.id = str(uuid.uuid4())
        self.file = path
        if not path.exists():
            with path.open('wb') as file:
                file.truncate(size * MIB)
        self.device = run('losetup', '--find', '--show', path).strip()
        self.connection: dict[str, Any] = {
            'driver_volume_type': 'local', 'serial': self.id,
            'data': {'device_path': self.device, 'access_mode': 'rw'}}
        self.encryption: dict[str, Any] = {}

    def encrypt(self) -> None:
        """Be one of an encrypted type."""
        self.connection['data']['encrypted'] = True
        self.encryption = encryptor.ENCRYPTION

    def digest(self) -> str:
        """Return the checksum of every byte."""
        run('sync', self.device)
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def is_open(self) -> bool:
        """Whether somebody has it mounted, wherever that is."""
        return self.device in run('cat', '/proc/self/mounts').split()

    def remove(self) -> None:
        """Let go of the loop device."""
        subprocess.run(['losetup', '--detach', self.device], check=False)


class VolumesTestCase(base.EngineTestCase):
    """A test with volumes of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            privileged.default, 'client_mode', False))
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self._made: list[Volume] = []
        self.addCleanup(self._clean_up)
        self.context = context.get_admin_context()

    def make_volume(self, size: int = 64,
                    path: pathlib.Path | None = None) -> Volume:
        """Return a volume which goes with the test."""
        made = Volume(path or self.directory / str(uuid.uuid4()), size)
        self._made.append(made)
        return made

    def drop(self, volume: Volume) -> None:
        """Let go of a volume before the test ends."""
        self._made.remove(volume)
        volume.remove()

    def _clean_up(self) -> None:
        """Leave no volume, when the containers that use them are gone."""
        for record in self.records.all():
            self.attachments.discard(record)
        for volume in self._made:
            volume.remove()

    def soon(self, act: Callable[[], Any]) -> Any:
        """Return what an act does, which does not wait for the storage."""
        found: list[Any] = []

        def work() -> None:
            try:
                found.append(act())
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(tests.PATIENCE)
        self.assertTrue(found, 'it waits for the storage')
        return found[0]

    def start(self, script: str = 'sleep 1000',
              **fields: Any) -> objects.Instance:
        """Start an instance that runs a script of the shell."""
        instance = self.create_workload(script, **fields)
        self.engine.start(names.workload(instance.uuid))
        return instance

    def create_workload(self, script: str = 'sleep 1000',
                        **fields: Any) -> objects.Instance:
        """Make an instance that is going to run a script."""
        instance = self.make_instance(**fields)
        instance.metadata['docker:command'] = f"/bin/sh -c '{script}'"
        self.boxes.ensure(instance, [], [])
        self.create_container(instance)
        return instance

    def create_container(self, instance: objects.Instance) -> None:
        """Make an instance's workload."""
        self.workloads.create(instance, self.make_image(),
                              configdrive.Details(model.NetworkInfo()))

    def attach(self, instance: objects.Instance, volume: Volume,
               device: str = '/dev/vdb') -> None:
        """Attach a volume, as Nova does."""
        self.attachments.attach(self.context, instance, volume.connection,
                                device, volume.encryption)

    def detach(self, instance: objects.Instance, volume: Volume) -> None:
        """Detach a volume, as Nova does."""
        self.attachments.detach(instance, volume.connection)

    def extend(self, instance: objects.Instance, volume: Volume,
               size: int) -> None:
        """Extend a volume as Cinder does, and see that it is so inside.

        :param size: in MiB
        """
        os.truncate(volume.file, size * MIB)
        run('losetup', '--set-capacity', volume.device)
        self.attached.extend(self.context, instance, volume.connection)
        figures = os.statvfs(self.host_path(instance))
        self.assertGreater(figures.f_blocks * figures.f_frsize,
                           size * 3 // 4 * MIB)

    def inside(self, instance: objects.Instance, *command: str) -> str:
        """Run a program in a running workload and return what it says."""
        code, output = self.engine.run(names.workload(instance.uuid),
                                       list(command))
        self.assertEqual(0, code, output)
        return output.decode()

    def file_digest(self, instance: objects.Instance, path: str) -> str:
        """Return the SHA-256 of a file that a running workload reads."""
        return self.inside(instance, 'busybox', 'sha256sum', path).split()[0]

    def host_path(self, instance: objects.Instance,
                  name: str = 'vdb') -> pathlib.Path:
        """Return where a volume of an instance is on the host."""
        return pathlib.Path(CONF.docker.mounts_path, instance.uuid,
                            'volumes', name)

    def assert_nothing_left(self, instance: objects.Instance,
                            *volumes: Volume) -> None:
        """See that nothing of an instance's volumes is on this host."""
        point = str(self.host_path(instance).parent)
        self.assertEqual([], mounttable.below(point))
        self.assertEqual([], self.records.of_instance(instance.uuid))
        tests.wait_until(lambda: not any(
            volume.is_open() for volume in volumes), 'they are unmounted')
