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

"""What is said of a root volume that can not be used."""

from __future__ import annotations

import errno
from unittest import mock
import uuid

import fixtures

from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import pivot
from nova_docker.privsep import rootfiles
from nova_docker.rootvolume import entry
from nova_docker.rootvolume import layout
from nova_docker.tests import base
from nova_docker.volumes import records


class ExplainedTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        kept = records.Records(self.useFixture(fixtures.TempDir()).path)
        instance = str(uuid.uuid4())
        self.volume = str(uuid.uuid4())
        kept.save(records.Record(
            instance, self.volume, 'vda', 'vda', {}, root=True,
            found={'path': '/dev/sda'}))
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.engine.container.return_value = {
            'Path': '/bin/sh', 'Args': [], 'State': {'Pid': 2},
            'Config': {'Labels': {names.UUID: instance}, 'Env': [],
                       'WorkingDir': ''},
            'HostConfig': {'Mounts': [layout.mount('/point/root')]}}
        self.entry = entry.Entry(self.engine, kept)
        self._mock(blocks, 'responds').return_value = True
        self.state = self._mock(rootfiles, 'state')
        self.state.return_value = rootfiles.State.WHOLE
        self.enter = self._mock(pivot, 'enter')

    def _mock(self, module: object, name: str) -> mock.Mock:
        made: mock.Mock = self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True)).mock
        return made

    def assert_refused(self, reason: str) -> None:
        error = self.assertRaises(
            errors.EngineBadRequest, self.entry.start, 'server')
        self.assertIn(f'the root volume {self.volume} can not be used: '
                      f'{reason}. ', error.message)

    def test_it_can_not_be_looked_at(self) -> None:
        for code, words in ((errno.EIO, 'Input/output error'),
                            (errno.EUCLEAN, 'Structure needs cleaning'),
                            (errno.ENOENT, 'No such file or directory')):
            self.state.side_effect = OSError(code, words)
            self.assert_refused(words)
        self.engine.start.assert_not_called()

    def test_an_error_that_has_no_number(self) -> None:
        self.enter.side_effect = PermissionError('not to be looked into')
        self.assert_refused('not to be looked into')
        self.engine.signal.assert_called_once_with('server', 'SIGKILL')
