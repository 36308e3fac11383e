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

"""Say who holds a TCP port."""

import os
import pathlib

from dockenstack import processes
from dockenstack import shell

LISTEN = '0A'


def _socket_inode(port: int) -> str | None:
    for table in ('tcp', 'tcp6'):
        path = pathlib.Path('/proc/net') / table
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            fields = line.split()
            if (fields[3] == LISTEN and
                    int(fields[1].rpartition(':')[2], 16) == port):
                return fields[9]
    return None


def _owner(inode: str) -> int | None:
    for pid in processes.pids():
        directory = f'/proc/{pid}/fd'
        try:
            for entry in os.listdir(directory):
                if os.readlink(f'{directory}/{entry}') == f'socket:[{inode}]':
                    return pid
        except OSError:
            continue
    return None


def require_free(port: int, what: str) -> None:
    """Fail, naming the holder, if something listens on the port."""
    inode = _socket_inode(port)
    if inode is None:
        return
    pid = _owner(inode)
    holder = 'another process'
    if pid:
        command = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
        words = command.replace(b'\0', b' ').decode(errors='replace')
        holder = f'process {pid} ({words.strip()[:80]})'
    raise shell.Failure(
        f'{what} needs port {port}, which {holder} holds: stop that first')
