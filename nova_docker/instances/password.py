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

"""The administrator's password, set by the image's own chpasswd."""

from __future__ import annotations

from typing import Final

from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker.instances import command
from nova_docker.instances import files
from nova_docker import names

_PROGRAM = 'chpasswd'
#: Characters of what it says that are told: Nova's log and database keep them.
_SAID: Final = 1000


class Password:
    """Sets passwords in running workloads.

    :param engine: where they run
    :param contents: their files
    """

    def __init__(self, engine: client.Engine, contents: files.Source
                 ) -> None:
        self._engine = engine
        self._files = contents

    def set(self, instance: objects.Instance, password: str) -> None:
        """Set root's password.

        :raises SetAdminPasswdNotSupported: the image has no chpasswd
        :raises InstancePasswordSetFailed: chpasswd refuses it
        """
        name = names.workload(instance.uuid)
        if not command.exists(self._files, self._engine.container(name),
                              _PROGRAM):
            raise exception.SetAdminPasswdNotSupported(
                f"The image of server {instance.uuid} has no '{_PROGRAM}', "
                "so that its password can't be set.")
        # On its standard input, where no list of processes shows it.
        code, output = self._engine.run(
            name, [_PROGRAM], f'root:{password}\n'.encode())
        if code:
            raise exception.InstancePasswordSetFailed(
                instance=instance.uuid,
                reason=f"'{_PROGRAM}' ended with {code}: "
                       f"{output.decode(errors='replace').strip()[:_SAID]}")
