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
engine can run; the engine and the switch are real.
"""

from collections.abc import Callable
from collections.abc import Iterator
import ctypes
import functools
import hashlib
import io
import ipaddress
import json
import os
import pathlib
import platform
import select
import subprocess
import sys
import tarfile
import tempfile
from typing import Any
import unittest
import uuid
import warnings

import docker
import fixtures
from nova.network import model
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import os_brick as os_brick_fixture
from nova.tests.unit import utils
from nova.volume import cinder
from os_brick import privileged as brick_privsep
import os_vif
from sqlalchemy import exc
from vif_plug_ovs import privsep as os_vif_privsep

from nova_docker.conf import CONF
from nova_docker import names
from nova_docker.network import sandbox
from nova_docker import privsep
from nova_docker.tests import base as tests
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import processes

#: Replaced by network_info() during a test.
_made_up_ports = utils.get_test_network_info
#: What Neutron says of a port where the kernel has no datapath.
_DETAILS = {model.VIF_DETAILS_OVS_DATAPATH_TYPE: 'netdev'}
_BUSYBOX = pathlib.Path('/bin/busybox')
_CLONE_NEWNET = 0x40000000
#: Threads of eventlet's are all one thread to the kernel: they have no
#: select.poll, and can't be in a namespace of their own.
_NATIVE = hasattr(select, 'poll')
_PRIVILEGED = (privsep.network_pctxt, privsep.proc_pctxt, privsep.mount_pctxt,
               privsep.storage_pctxt, privsep.root_pctxt,
               brick_privsep.default, os_vif_privsep.vif_plug)


def engine_url() -> str:
    """The engine to test on: DOCKER_HOST, as for every Docker client."""
    return os.environ.get('DOCKER_HOST') or 'unix:///var/run/docker.sock'


@functools.cache
def archive() -> bytes:
    """A ``docker save`` archive of an image that sleeps.

    Passwords can be set, for all that Nova sees of it.
    """
    layer = _tar({'sleep': sandbox.executable(platform.machine()),
                  'bin/sh': _BUSYBOX.read_bytes(),
                  'bin/chpasswd': b'#!/bin/sh\nread entered\n'})
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


class WarningsFixture(nova_fixtures.WarningsFixture):
    """Nova's fixture, which makes errors of SQLAlchemy's deprecations.

    They are Nova's affair: what is installed is newer than what Nova's own
    gate has, and the driver knows no database.
    """

    def setUp(self) -> None:
        super().setUp()
        warnings.filterwarnings('ignore', category=exc.SADeprecationWarning)


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
            content = b''.join(iter(lambda: data.read(65536), b''))
            self._imagedata[image_id] = content
            updated['size'] = len(content)
        return updated


class NeutronFixture(nova_fixtures.NeutronFixture):
    """Nova's fixture with ports on a userspace datapath.

    Its subnets are written as Neutron writes them, without host bits.
    """

    default_port = nova_fixtures.NeutronFixture.default_port | {
        'binding:vif_details': _DETAILS}
    _subnets: dict[str, dict[str, Any]]

    def setUp(self) -> None:
        super().setUp()
        self._subnets = {
            name: subnet | {'cidr': str(ipaddress.ip_network(
                subnet['cidr'], strict=False))}
            for name, subnet in self._subnets.items()}

    def list_subnets(self, retrieve_all: bool = True,
                     **params: Any) -> dict[str, Any]:
        """Filter by id, as Neutron does: Nova asks for a port's subnets."""
        found = super().list_subnets(retrieve_all, **params)['subnets']
        wanted = params.get('id') or self._subnets
        return {'subnets': [each for each in found if each['id'] in wanted]}


class OSBrickFixture(fixtures.Fixture):
    """Nova's fixture without its made-up volumes: ours are real."""

    def _setUp(self) -> None:
        self.useFixture(fixtures.MonkeyPatch(
            'os_brick.initiator.connector.get_connector_properties',
            os_brick_fixture.get_connector_properties))


def network_info(count: int = 1) -> model.NetworkInfo:
    """Nova's made-up ports, on a userspace datapath."""
    made_up = _made_up_ports(count)
    for vif in made_up:
        vif['details'] = _DETAILS
    return made_up


class Host:
    """A network of the test process's own, and Open vSwitch in it.

    Nothing of the machine's network is touched. Threads that the process
    starts later are in it too.
    """

    def __init__(self, case: type[unittest.TestCase]) -> None:
        machine = os.open('/proc/self/ns/net', os.O_RDONLY)
        case.addClassCleanup(os.close, machine)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(
            ctypes.get_errno())
        case.addClassCleanup(libc.setns, machine, _CLONE_NEWNET)
        if not _NATIVE:
            _start_daemons(case)
        processes.run('ip', 'link', 'set', 'lo', 'up')
        self.switch = openvswitch.Switch(
            case.enterClassContext(tempfile.TemporaryDirectory()))
        case.addClassCleanup(self.switch.stop)
        case.addClassCleanup(openvswitch.disconnect)
        # The bridge of Nova's made-up networks.
        self.switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                          'datapath_type=netdev')


def _start_daemons(case: type[unittest.TestCase]) -> None:
    """Have what is privileged done by daemons, as on a host."""
    helper = pathlib.Path(sys.executable).with_name('privsep-helper')
    for context in _PRIVILEGED:
        CONF.set_override(
            'helper_command',
            f"env PYTHONPATH={':'.join(sys.path)} {helper}",
            context.cfg_section)
        case.addClassCleanup(
            CONF.clear_override, 'helper_command', context.cfg_section)
        context.start()
        case.addClassCleanup(context.stop)


class Suite(fixtures.Fixture):
    """Let Nova's test cases take our fixtures, where both have one.

    :param flags: sets options for one test
    """

    def __init__(self, host: Host, flags: Callable[..., None]) -> None:
        self._host = host
        self._flags = flags

    def _setUp(self) -> None:
        for each in (GlanceFixture, NeutronFixture, OSBrickFixture,
                     WarningsFixture):
            self.useFixture(fixtures.MonkeyPatch(
                f'nova.tests.fixtures.{each.__name__}', each))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.tests.unit.utils.get_test_network_info', network_info))
        if _NATIVE:
            for context in _PRIVILEGED:
                # This process is root's and does what the daemons would.
                self.useFixture(fixtures.MockPatchObject(
                    context, 'client_mode', False))
        self._flags(url=engine_url(), group='docker')
        state_path = self.useFixture(fixtures.TempDir()).path
        self._flags(state_path=state_path)
        self.addCleanup(
            subprocess.run, ['umount', '--recursive', f'{state_path}/mounts'],
            check=False, capture_output=True)
        os_vif.initialize()
        self._flags(ovsdb_connection=self._host.switch.connection,
                    group='os_vif_ovs')
        # The plugin reads the option once, when it is made.
        os_vif.initialize(reset=True)


class Cinder(fixtures.Fixture):
    """What Cinder says of every volume: nothing beside its connection."""

    def _setUp(self) -> None:
        self.useFixture(fixtures.MockPatchObject(
            cinder.API, 'get', autospec=True, return_value={
                'multiattach': False, 'volume_metadata': {}}))


class Volume(fixtures.Fixture):
    """A volume of Cinder's on this machine: a loop device."""

    connection: dict[str, Any]

    def _setUp(self) -> None:
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'volume')
        with file.open('wb') as content:
            content.truncate(32 << 20)
        device = subprocess.run(
            ['losetup', '--find', '--show', file], check=True,
            capture_output=True, text=True).stdout.strip()
        self.addCleanup(subprocess.run, ['losetup', '--detach', device],
                        check=False)
        self.connection = {
            'driver_volume_type': 'local', 'serial': str(uuid.uuid4()),
            'data': {'device_path': device}}


class EngineFixture(fixtures.Fixture):
    """The engine, and nothing on it afterwards that was not there before."""

    def _setUp(self) -> None:
        self.client = docker.DockerClient(base_url=engine_url())
        self.addCleanup(self.client.close)
        before = {each.id for each in self.instances()}
        self.addCleanup(self._remove, before)

    def instances(self) -> list[Any]:
        """Every container of this driver, sandboxes too.

        But for those of the functional tests, which another process may run
        on the same engine.
        """
        found: list[Any] = self.client.containers.list(
            all=True, filters={'label': names.UUID})
        return [each for each in found
                if each.labels[names.PROJECT] != tests.PROJECT]

    def _remove(self, kept: set[str]) -> None:
        for each in self.instances():
            if each.id not in kept:
                each.remove(force=True, v=True)
