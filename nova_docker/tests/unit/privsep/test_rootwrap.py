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

"""Rootwrap starts the daemons of our privileged functions, nothing else."""

import pathlib
import unittest

from os_brick import privileged as brick_privsep
from oslo_rootwrap import wrapper
from vif_plug_ovs import privsep as os_vif_privsep

import nova_docker
from nova_docker import privsep

_FILTERS = (pathlib.Path(nova_docker.__file__).parent.parent
            / 'etc/nova/rootwrap.d')


class RootwrapTestCase(unittest.TestCase):
    """The filters that we ship, as oslo.rootwrap reads them."""

    def setUp(self) -> None:
        super().setUp()
        # oslo.rootwrap puts a filter of its own behind those of the files.
        self.filters = [each for each in wrapper.load_filters([str(_FILTERS)])
                        if each.name.startswith('privsep-rootwrap-')]

    def assert_allowed(self, expected: bool, *command: str) -> None:
        """Fail unless the filters allow a command, or not."""
        allowed = any(each.match(list(command)) for each in self.filters)
        self.assertEqual(expected, allowed, command)

    def test_daemons_start(self) -> None:
        for context in (privsep.network_pctxt, privsep.storage_pctxt,
                        privsep.proc_pctxt, privsep.mount_pctxt,
                        privsep.root_pctxt, brick_privsep.default,
                        os_vif_privsep.vif_plug):
            self.assert_allowed(
                True, 'privsep-helper', '--config-file',
                '/etc/nova/nova-cpu.conf', '--privsep_context',
                str(context.pypath), '--privsep_sock_path',
                '/tmp/tmp3x/privsep.sock')

    def test_nothing_else_does(self) -> None:
        path = str(privsep.network_pctxt.pypath)
        self.assert_allowed(False, 'ip', 'link')
        self.assert_allowed(False, 'privsep-helper')
        for configuration, context in (
                ('/home/user/nova.conf', path),
                ('/etc/../home/user/nova.conf', path),
                ('/etc/nova/nova.conf', 'evil.module.context'),
                ('/etc/nova/nova.conf', 'nova_docker_privsep.network_pctxt'),
                ('/etc/nova/nova.conf', path + '.more')):
            self.assert_allowed(
                False, 'privsep-helper', '--config-file', configuration,
                '--privsep_context', context, '--privsep_sock_path',
                '/tmp/tmp3x/privsep.sock')
