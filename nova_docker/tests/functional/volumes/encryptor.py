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

"""An encryptor of os-brick's kind, for a kernel without dm-crypt.

What it shows of a volume is a second loop device, which begins where the
header of LUKS would end.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from os_brick.encryptors import base

_HEADER = 1 << 20


class LoopEncryptor(base.VolumeEncryptor):
    """Leads the path that it is given to another device, as LUKS's does."""

    def __init__(self, root_helper: str, connection_info: dict[str, Any],
                 keymgr: Any, execute: Any = None, *args: Any,
                 **kwargs: Any) -> None:
        super().__init__(root_helper, connection_info, keymgr, execute,
                         *args, **kwargs)
        self._link = connection_info['data']['device_path']

    def attach_volume(self, context: Any, **kwargs: Any) -> None:
        """Make the other device, and lead the path to it."""
        shown = subprocess.run(
            ['losetup', '--find', '--show', '--offset', str(_HEADER),
             os.path.realpath(self._link)], check=True, capture_output=True,
            text=True).stdout.strip()
        subprocess.run(['ln', '--symbolic', '--force', shown, self._link],
                       check=True)

    def detach_volume(self, **kwargs: Any) -> None:
        """Remove the other device."""
        subprocess.run(['losetup', '--detach', os.path.realpath(self._link)],
                       check=True)

    def extend_volume(self, context: Any, **kwargs: Any) -> None:
        """Let the other device grow with the first."""
        subprocess.run(['losetup', '--set-capacity',
                        os.path.realpath(self._link)], check=True)
