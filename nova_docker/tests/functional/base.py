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

"""A real engine, tiny images for it, and nothing left of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import io
import os
import pathlib
import subprocess
import tarfile
from typing import Any
from unittest import mock
import uuid

import fixtures
from nova.image import glance
from nova.volume import cinder
from oslo_serialization import jsonutils

from nova import objects
from nova_docker.conf import CONF
from nova_docker.console import serial
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import devices
from nova_docker.instances import injection
from nova_docker.instances import keys
from nova_docker.instances import power
from nova_docker.instances import rootdisk
from nova_docker.instances import workload
from nova_docker import names
from nova_docker.network import connection
from nova_docker.network import sandbox
from nova_docker.network import wiring
from nova_docker import privsep
from nova_docker import resources
from nova_docker.rootvolume import content
from nova_docker.rootvolume import entry
from nova_docker.rootvolume import files as rootvolume_files
from nova_docker.rootvolume import gate
from nova_docker import spec
from nova_docker.tests import base
from nova_docker.volumes import attachment
from nova_docker.volumes import ephemeral
from nova_docker.volumes import flags
from nova_docker.volumes import move
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import steps
from nova_docker.volumes import whole

_BUSYBOX = pathlib.Path('/bin/busybox')
#: The busybox programs that the tests' images have.
_APPLETS = ('cat', 'chmod', 'dd', 'echo', 'env', 'head', 'hostname', 'id',
            'kill', 'ls', 'mkdir', 'nproc', 'printf', 'pwd', 'sh', 'sleep',
            'stat', 'stty', 'sync', 'tail', 'touch', 'tr', 'true', 'tty', 'wc',
            'yes')


def engine_url() -> str:
    """Return the engine to test on: DOCKER_HOST, as every client has it."""
    return os.environ.get('DOCKER_HOST') or 'unix:///var/run/docker.sock'


class Entry(tarfile.TarInfo):
    """One member of an image's root file system.

    :param name: its path, without the slash before it
    :param content: for a regular file
    :param fields: of the TarInfo
    """

    def __init__(self, name: str, content: str | bytes = b'',
                 **fields: Any) -> None:
        super().__init__(name)
        self.content = (content.encode() if isinstance(content, str)
                        else content)
        self.size, self.mode = len(self.content), 0o644
        for field, value in fields.items():
            setattr(self, field, value)


def directory(name: str, **fields: Any) -> Entry:
    """Return a directory for an image."""
    return Entry(name, type=tarfile.DIRTYPE, **{'mode': 0o755, **fields})


def symlink(name: str, target: str) -> Entry:
    """Return a symbolic link for an image."""
    return Entry(name, type=tarfile.SYMTYPE, linkname=target)


def program(name: str, script: str) -> Entry:
    """Return an executable shell script for an image."""
    return Entry(name, f'#!/bin/sh\n{script}\n', mode=0o755)


def root_file_system(entries: Sequence[Entry] = ()) -> bytes:
    """Return a tar with busybox, its programs in /bin, and more entries."""
    basis = [
        Entry('bin/busybox', _BUSYBOX.read_bytes(), mode=0o755),
        *(symlink(f'bin/{applet}', 'busybox') for applet in _APPLETS),
        Entry('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
        directory('root', mode=0o700), directory('tmp', mode=0o1777)]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as tar:
        # The last of one name wins, as it would when unpacked.
        for entry in {each.name: each for each in (*basis, *entries)}.values():
            tar.addfile(entry, io.BytesIO(entry.content))
    return packed.getvalue()


class EngineTestCase(base.TestCase):
    """A test on a real engine, which ends with no trace of it there."""

    def setUp(self) -> None:
        super().setUp()
        self.url = engine_url()
        self.flags(url=self.url, group='docker')
        self.flags(state_path=self.useFixture(fixtures.TempDir()).path)
        self.engine = client.Engine(self.url, timeout=base.PATIENCE)
        try:
            self.engine.version()
        except errors.EngineUnavailable as error:
            self.fail('These tests need a Docker Engine, and none answers at '
                      f'{self.url} (DOCKER_HOST says where): {error}')
        if not _BUSYBOX.exists():
            self.fail(f'These tests need a static {_BUSYBOX}: install '
                      "Debian's package busybox-static.")
        # After the containers, or they would stay behind without a name.
        self._images: list[str] = []
        self.addCleanup(self._remove_images)
        self.boxes = sandbox.Sandbox(self.engine, None)
        # The tests on it have no ports, so there is nothing to be wired.
        self.wires: mock.Mock = mock.create_autospec(wiring.Wiring,
                                                     instance=True)
        self.network = connection.Connection(self.boxes, self.wires)
        self.drives = configdrive.ConfigDrive(self.engine, self.boxes)
        # Tags of devices are in Nova's database, and there is none.
        self.tag: mock.Mock = mock.create_autospec(devices.tag)
        self.points = self.make_points()
        #: What users call their volumes, by volume.
        self.volume_tags: dict[str, str] = {}
        #: What Cinder says of volumes beside their connections.
        self.volume_flags: dict[str, dict[str, Any]] = {}
        self.asked = self.useFixture(fixtures.MockPatchObject(
            cinder.API, 'get', autospec=True, side_effect=self._volume)).mock
        self.records = self.make_records()
        acts = steps.Steps(self.engine, self.points, self.records)
        self.attachments = attachment.Attachments(
            acts, self.points, self.records,
            lambda instance: self.volume_tags, flags.ask)
        self.moves = move.Move(acts, self.points, self.records)
        self.local = ephemeral.Ephemeral(
            self.points, f'{CONF.state_path}/ephemeral')
        self.attached = whole.Volumes(
            self.attachments, self.moves, self.records, self.points,
            self.local)
        self.image_api: mock.Mock = mock.create_autospec(
            glance.API, instance=True)
        self.roots = content.Roots(
            self.engine, store.Store(self.engine, self.image_api),
            self.image_api, self.attached, self.points,
            gate.Gate(self.engine))
        self.contents = rootvolume_files.Files(self.engine)
        self.workloads = self.make_workloads(self.engine)

    def _volume(self, _api: cinder.API, _context: Any, volume: str,
                microversion: str | None = None) -> dict[str, Any]:
        """Return what Cinder shows of a volume."""
        return {'id': volume, 'multiattach': False, 'volume_metadata': {},
                **self.volume_flags.get(volume, {})}

    def make_records(self) -> records.Records:
        """Return what keeps account of connected volumes."""
        return records.Records(self.useFixture(fixtures.TempDir()).path)

    def make_points(self) -> propagate.Propagation:
        """Return where file systems are mounted into workloads."""
        # This process is root's and does what the daemon would.
        self.useFixture(fixtures.MockPatchObject(
            privsep.mount_pctxt, 'client_mode', False))
        self.useFixture(fixtures.MockPatchObject(
            privsep.root_pctxt, 'client_mode', False))
        root = CONF.docker.mounts_path
        self.addCleanup(subprocess.run, ['umount', '--recursive', root],
                        check=False, capture_output=True)
        return propagate.Propagation(root)

    def make_power(self, engine: client.Engine | None = None) -> power.Power:
        """Return what starts and stops workloads."""
        engine = engine or self.engine
        return power.Power(engine, self.network, self.make_workloads(engine),
                           rootdisk.RootDisk(engine))

    def make_destroy(self,
                     engine: client.Engine | None = None) -> destroy.Destroy:
        """Return what removes instances."""
        engine = engine or self.engine
        return destroy.Destroy(
            self.network, self.make_workloads(engine),
            rootdisk.RootDisk(engine), self.make_power(engine),
            configdrive.ConfigDrive(engine, self.boxes), self.points,
            self.attached, serial.Serial(engine, '127.0.0.1', '21300:21400'))

    def make_workloads(self, engine: client.Engine,
                       starts: client.Engine | None = None
                       ) -> workload.Workload:
        """Return what makes workloads in an engine.

        :param starts: how it is reached to start them, if in another way
        """
        return workload.Workload(
            engine, keys.Keys(self.contents),
            injection.Injection(self.contents),
            configdrive.ConfigDrive(engine, self.boxes), self.points, self.tag,
            self.host, self.roots,
            entry.Entry(starts or engine, self.records), self.contents)

    def make_image(self, *entries: Entry,
                   changes: Sequence[str] = ('CMD ["/bin/sh"]',)) -> str:
        """Import an image with busybox into the engine; return its name.

        :param entries: files besides busybox
        :param changes: Dockerfile instructions
        """
        reference = f'nova-docker-test/image:{uuid.uuid4()}'
        self._images.append(reference)
        self.engine.import_image([root_file_system(entries)], reference,
                                 list(changes))
        return reference

    def _remove_images(self) -> None:
        for reference in self._images:
            self.engine.remove_image(reference, force=True)

    def make_instance(self, flavor: objects.Flavor | None = None,
                      **fields: Any) -> objects.Instance:
        """Return an instance whose containers go when the test ends."""
        instance = base.make_instance(flavor, **fields)
        self.addCleanup(self.drives.discard, instance.uuid)
        self.addCleanup(self.engine.remove, names.sandbox(instance.uuid))
        self.addCleanup(self.engine.remove, names.workload(instance.uuid))
        self.addCleanup(self.engine.remove, names.aside(instance.uuid))
        return instance

    def host(self) -> spec.Host:
        """Return the engine's facts, as the driver has them."""
        return resources.Resources(self.engine).host()

    def create(self, instance: objects.Instance, image: str,
               host: spec.Host | None = None) -> str:
        """Make sandbox and workload without a port; return its name."""
        self.boxes.ensure(instance, [], [])
        name = names.workload(instance.uuid)
        self.engine.create(name, spec.workload(
            instance, image, host or self.host()))
        return name

    def run_workload(self, image: str, *command: str,
                     flavor: objects.Flavor | None = None,
                     metadata: Mapping[str, str] | None = None,
                     host: spec.Host | None = None,
                     **fields: Any) -> objects.Instance:
        """Start an instance of an image and return it.

        :param command: the tenant's; by default the image's own
        """
        given = dict(metadata or {})
        if command:
            given['docker:command'] = jsonutils.dumps(command)
        instance = self.make_instance(flavor, metadata=given, **fields)
        self.engine.start(self.create(instance, image, host))
        return instance

    def state(self, instance: objects.Instance) -> dict[str, Any]:
        """Return the engine's account of a workload's state."""
        found: dict[str, Any] = self.engine.container(
            names.workload(instance.uuid))['State']
        return found

    def wait_for_end(self, instance: objects.Instance) -> int:
        """Wait until a workload has ended; return its exit code."""
        ended: dict[str, Any] = base.wait_until(
            lambda: (self.state(instance)['Status'] == 'exited' and
                     self.state(instance)),
            'the container has ended')
        return int(ended['ExitCode'])

    def log(self, instance: objects.Instance) -> str:
        """Return everything that a workload has written."""
        pieces = self.engine.log_tail(names.workload(instance.uuid), 10000)
        return b''.join(pieces).decode('latin-1').replace('\r\n', '\n')

    def wait_for_log(self, instance: objects.Instance, text: str) -> str:
        """Wait until a workload has written a text; return all it wrote."""
        return str(base.wait_until(
            lambda: text in self.log(instance) and self.log(instance),
            f'the container writes {text!r}'))

    def output(self, image: str, script: str, **more: Any) -> str:
        """Run a shell script in an instance of an image to its end.

        :returns: what it wrote
        """
        instance = self.run_workload(image, '/bin/sh', '-c', script, **more)
        self.wait_for_end(instance)
        return self.log(instance).strip()
