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

"""Dispatch `up`, `down`, `status`, `logs` and `tempest`."""

import importlib
import signal
import sys

COMMANDS = ('up', 'down', 'status', 'logs', 'tempest')


def main() -> int:
    name, *arguments = sys.argv[1:]
    if name not in COMMANDS:
        raise SystemExit(f'one of {", ".join(COMMANDS)}, not {name}')
    command = importlib.import_module(f'dockenstack.commands.{name}')
    return int(command.main(arguments))


if __name__ == '__main__':
    # As `head` ends what it has read enough of.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
