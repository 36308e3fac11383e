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

"""Be a second host: hold its namespaces, and lead to the controllers.

Run by the cloud's Python as root: second_host.py HOME DIRECTORY PORT... The
namespaces are open below DIRECTORY once they are whole, and go with the last
process in them. What runs there finds the controllers on loopback, where the
catalogue says that they are: each connection is carried over to the host's.
"""

import asyncio
import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import sys
import uuid

LOOPBACK = '127.0.0.1'
# From <sched.h>; `os` has them since Python 3.12.
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
PIECE = 256 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def _succeed(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Bridge:
    """Carries connections from one network namespace to another."""

    def __init__(self, inside: int, outside: int) -> None:
        self._inside = inside
        self._outside = outside

    async def serve(self, port: int) -> None:
        async def carry(reader: asyncio.StreamReader,
                        writer: asyncio.StreamWriter) -> None:
            try:
                await self._carry(port, reader, writer)
            except OSError:
                # One end hung up: so does the other.
                pass
            finally:
                writer.close()
        await asyncio.start_server(carry, LOOPBACK, port, backlog=512)

    async def _carry(self, port: int, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(self._socket()) as farther:
            await asyncio.get_running_loop().sock_connect(
                farther, (LOOPBACK, port))
            answers, asks = await asyncio.open_connection(sock=farther)
            try:
                await asyncio.gather(_copy(reader, asks),
                                     _copy(answers, writer))
            finally:
                asks.close()

    def _socket(self) -> socket.socket:
        """A socket belongs for ever to the namespace that it is made in."""
        _succeed(_libc.setns(self._outside, CLONE_NEWNET))
        try:
            made = socket.socket()
        finally:
            _succeed(_libc.setns(self._inside, CLONE_NEWNET))
        made.setblocking(False)
        return made


async def _copy(reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


def separate(home: pathlib.Path, directory: pathlib.Path) -> Bridge:
    """Move this process into namespaces of its own."""
    outside = os.open('/proc/self/ns/net', os.O_RDONLY)
    _succeed(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET))
    inside = os.open('/proc/self/ns/net', os.O_RDONLY)
    # LXCFS, mounted again, is seen; nothing that is mounted here gets out.
    _run('mount', '--make-rslave', '/')
    _forget_mounts(home)
    _mount_sys(directory / 'sys')
    # Volumes appear in containers as those of any host do.
    _run('mount', '--make-rshared', '/')
    _run('ip', 'link', 'set', 'lo', 'up')
    return Bridge(inside, outside)


def _forget_mounts(home: pathlib.Path) -> None:
    """Let go of the first host's containers and volumes."""
    table = pathlib.Path('/proc/self/mountinfo').read_text()
    points = [line.split()[4].encode().decode('unicode_escape')
              for line in table.splitlines()]
    for point in reversed(points):
        if (point.startswith(f'{home}/')
                and point != str(home / 'run' / 'lxcfs')):
            # One goes with another that shows the same.
            subprocess.run(['umount', '--quiet', '--lazy', point])


def _mount_sys(draft: pathlib.Path) -> None:
    """Have a /sys of this network, with the control groups of before."""
    draft.mkdir(parents=True, exist_ok=True)
    _run('mount', '-t', 'sysfs', 'sysfs', str(draft))
    _run('mount', '--rbind', '/sys/fs/cgroup', str(draft / 'fs' / 'cgroup'))
    _run('mount', '--rbind', str(draft), '/sys')
    _run('umount', '--lazy', str(draft))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


async def serve(bridge: Bridge, directory: pathlib.Path,
                ports: list[int]) -> None:
    for port in ports:
        await bridge.serve(port)
    # Who entered other namespaces has to enter these.
    (directory / 'born').write_text(str(uuid.uuid4()))
    for name in ('mnt', 'net'):
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(f'/proc/{os.getpid()}/ns/{name}')
    await asyncio.Event().wait()


def main() -> None:
    home, directory = map(pathlib.Path, sys.argv[1:3])
    bridge = separate(home, directory)
    asyncio.run(serve(bridge, directory, list(map(int, sys.argv[3:]))))


if __name__ == '__main__':
    main()
