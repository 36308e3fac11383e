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

"""How a volume may be used, by what Cinder says in several places."""

from __future__ import annotations

from typing import Any
from unittest import mock

import fixtures
from nova.volume import cinder

from nova_docker.tests import base
from nova_docker.volumes import flags

_VOLUME = '2f0c5d8e-6b0e-4f0f-8a44-1c1a8f6c2f11'


class AskTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.get: mock.Mock = self.useFixture(fixtures.MockPatchObject(
            cinder.API, 'get', autospec=True)).mock
        self.context = mock.sentinel.context

    def ask(self, access_mode: str, metadata: dict[str, str],
            **connection: Any) -> flags.Flags:
        self.get.return_value = {'multiattach': False,
                                 'volume_metadata': metadata}
        return flags.ask(self.context, {
            'serial': _VOLUME, 'data': {'access_mode': access_mode},
            **connection})

    def test_the_flag_counts_where_the_connection_does_not_know(self) -> None:
        for metadata, read_only in (({}, False), ({'readonly': 'True'}, True),
                                    # It was read-only once.
                                    ({'readonly': 'False'}, False)):
            with self.subTest(metadata=metadata):
                self.assertEqual(flags.Flags(read_only, shared=False),
                                 self.ask('rw', metadata))

    def test_nobody_is_asked_when_the_connection_says_it(self) -> None:
        self.assertEqual(flags.Flags(read_only=True, shared=True),
                         self.ask('ro', {}, multiattach=True))
        self.get.assert_not_called()

    def test_the_volume_itself_is_asked_for(self) -> None:
        self.ask('rw', {}, data={'volume_id': 'where it was before'})
        self.get.assert_called_once_with(mock.ANY, self.context, _VOLUME)

    def test_several_servers(self) -> None:
        self.assertTrue(self.ask('rw', {}, multiattach=True).shared)
        self.get.return_value = {'multiattach': True, 'volume_metadata': {}}
        self.assertTrue(flags.ask(self.context, {
            'serial': _VOLUME, 'data': {}}).shared)
