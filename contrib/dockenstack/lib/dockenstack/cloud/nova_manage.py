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

"""Run several nova-manage commands, importing Nova only once.

Run by the cloud's Python: nova_manage.py CONF COMMANDS, the commands as a
JSON list of lists of arguments.
"""

import json
import os
import sys

from nova.cmd import manage

CELL_EXISTS = (['cell_v2', 'create_cell', '--name', 'cell1'], 2)


def run(configuration: str, arguments: list[str]) -> int:
    """One command in a process of its own: it configures global state."""
    pid = os.fork()
    if not pid:
        sys.argv = ['nova-manage', '--config-file', configuration, *arguments]
        os._exit(manage.main() or 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(configuration: str, commands: str) -> int:
    for arguments in json.loads(commands):
        status = run(configuration, arguments)
        if status and (arguments, status) != CELL_EXISTS:
            print(f'nova-manage {arguments[0]} ended with {status}')
            return status
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
