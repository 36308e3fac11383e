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

"""A key manager with one key, in the place of a cloud's."""

from __future__ import annotations

from unittest import mock

from castellan.common.objects import symmetric_key
from castellan import key_manager
from castellan.key_manager import key_manager as manager
import fixtures


class KeyManager(fixtures.Fixture):
    """What castellan gives to whoever asks it for the key manager."""

    def _setUp(self) -> None:
        api = self.useFixture(fixtures.MockPatchObject(
            key_manager, 'API', autospec=True)).mock
        api.return_value = mock.create_autospec(
            manager.KeyManager, instance=True)
        self._keys = api.return_value.get
        self.give(b'k')

    def give(self, letter: bytes) -> None:
        """Have a key of one letter."""
        self._keys.return_value = symmetric_key.SymmetricKey(
            'AES', 256, letter * 32)
