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

"""A host of its own for network tests: namespace, switch, containers."""

import ctypes
import json
import os
import tempfile
from typing import ClassVar
import unittest

from nova import objects
from oslo_privsep import priv_context
from oslo_utils import uuidutils
from vif_plug_ovs import privsep as os_vif_privsep

from nova_docker.network import datapath
from nova_docker.network import wiring
from nova_docker import privsep
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import processes
from nova_docker.tests.functional import privileged

_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class NetworkTestCase(unittest.TestCase):
    """A test on a host of its own; root is needed.

    The host is a network namespace: nothing of the machine's network is
    touched, and what a test leaves behind ends with it. Privileged
    functions run in daemons of their own, as they do under nova-compute.
    """

    switch: ClassVar[openvswitch.Switch]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        objects.register_all()
        cls._enter_own_host()
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.switch = openvswitch.Switch(directory)
        cls.addClassCleanup(cls.switch.stop)
        cls._start_daemons()
        openvswitch.use(cls, cls.switch.connection)

    @classmethod
    def _enter_own_host(cls) -> None:
        machine = os.open('/proc/self/ns/net', os.O_RDONLY)
        cls.addClassCleanup(os.close, machine)
        assert _libc.unshare(_CLONE_NEWNET) == 0, os.strerror(
            ctypes.get_errno())
        cls.addClassCleanup(_libc.setns, machine, _CLONE_NEWNET)
        processes.run('ip', 'link', 'set', 'lo', 'up')

    @classmethod
    def _start_daemons(cls) -> None:
        cls.restart_daemon()
        cls.restart_daemon('', os_vif_privsep.vif_plug,
                           'vif_plug_ovs_privileged')

    @classmethod
    def restart_daemon(
        cls, arguments: str = '',
        context: priv_context.PrivContext = privsep.network_pctxt,
        section: str = 'docker_network_privileged',
    ) -> None:
        """End a daemon of privileged functions; the next call starts one."""
        privileged.use(cls, context, section, arguments)

    def setUp(self) -> None:
        super().setUp()
        self.instance = objects.Instance(
            id=1, uuid=uuidutils.generate_uuid(), project_id='project')
        self.wiring = wiring.Wiring(datapath.Datapath())

    def container(self, *isolation: str, uid: int = 0) -> processes.Container:
        """Start a container that ends with the test."""
        container = processes.Container('--net', *isolation, uid=uid)
        self.addCleanup(container.kill)
        return container


def host_links() -> set[str]:
    """Return the names of the host's links."""
    return {link['ifname'] for link in json.loads(
        processes.run('ip', '-j', 'link'))}
