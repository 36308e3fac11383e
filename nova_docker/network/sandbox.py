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

"""The sandbox: the small container that owns an instance's network.

It runs one process that sleeps in pause(2) and outlives every stop, reboot
and rebuild of the workload, so the network namespace does too. Only one that
CRIU has locked ends: nobody but CRIU unlocks it.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import os
import platform
import struct

from nova import exception
from nova import objects
from nova_docker import builtin
from nova_docker import elf
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker import spec

#: Linux's ELF machine number and a loop around a system call that sleeps
#: until a signal: pause(2), or ppoll(2) without a timeout where there is no
#: pause.
_PROGRAMS = {
    # mov eax, 34; syscall; jmp back
    'x86_64': (62, bytes.fromhex('b822000000 0f05 ebf7')),
    # x0-x4 = 0; x8 = 73; svc 0; b back
    'aarch64': (183, struct.pack(
        '<8I', 0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004,
        0xd2800928, 0xd4000001, 0x17fffff9)),
}


def executable(machine: str) -> bytes:
    """Return a static ELF executable that sleeps for ever.

    :param machine: as platform.machine() has it
    :raises InvalidConfiguration: on a machine we have no program for
    """
    if machine not in _PROGRAMS:
        raise exception.InvalidConfiguration(
            f"There is no built-in sandbox for machine '{machine}': set "
            "[docker] sandbox_image.")
    number, code = _PROGRAMS[machine]
    return elf.executable(number, code)


class Sandbox:
    """Makes, finds and removes sandboxes.

    :param engine: where they run
    :param image: an engine image to use instead of the built-in one
    """

    def __init__(self, engine: client.Engine, image: str | None) -> None:
        self._engine = engine
        self._own_image = image
        self._built = builtin.Image(engine, names.SANDBOX_IMAGE, '/pause')

    def prepare(self) -> str:
        """Make sure that the image is there and return its name.

        :raises InvalidConfiguration: if the operator's image is not
        """
        if not self._own_image:
            return self._built.ensure(executable(platform.machine()))
        try:
            self._engine.image(self._own_image)
        except errors.EngineNotFound as error:
            raise exception.InvalidConfiguration(
                f"[docker] sandbox_image: the engine has no image "
                f"'{self._own_image}'. Pull or load it.") from error
        return self._own_image

    def create(self, instance: objects.Instance, nameservers: Sequence[str],
               addresses: Sequence[str]) -> None:
        """Create the sandbox: a workload can then be created as well.

        One that is there stays as it is.

        :param nameservers: for resolv.conf
        :param addresses: what the server's own name resolves to
        """
        with contextlib.suppress(errors.EngineConflict):
            self._engine.create(names.sandbox(instance.uuid), spec.sandbox(
                instance, self.prepare(), nameservers, addresses))

    def ensure(self, instance: objects.Instance, nameservers: Sequence[str],
               addresses: Sequence[str]) -> int:
        """Create the sandbox if it is missing, start it if it stopped.

        Can be run again. Takes what :meth:`create` does.

        :returns: the process whose network namespace is the instance's
        """
        name = names.sandbox(instance.uuid)
        try:
            self._engine.start(name)
        except errors.EngineNotFound:
            self.create(instance, nameservers, addresses)
            self._engine.start(name)
        return int(self._engine.container(name)['State']['Pid'])

    def is_lost(self, uuid: str) -> bool:
        """Whether the workload runs on in a namespace that is not ours.

        That of a sandbox that somebody has ended: the workload alone keeps
        it, and neither a sandbox that is started again nor another workload
        can enter it.
        """
        workload = self._process(names.workload(uuid))
        box = self._process(names.sandbox(uuid))
        # The one that a runtime with virtual machines names is on the host.
        homes = [each for each in (box, os.getpid()) if each]
        return bool(workload) and not any(
            _share_network(workload, home) for home in homes)

    def _process(self, name: str) -> int:
        """Return a container's main process, 0 if it has none."""
        with contextlib.suppress(errors.EngineNotFound):
            return int(self._engine.container(name)['State']['Pid'])
        return 0

    def stop(self, uuid: str) -> None:
        """End the network namespace; the sandbox may be gone already.

        :meth:`ensure` is its twin: it brings another namespace.
        """
        with contextlib.suppress(errors.EngineNotFound):
            self._engine.stop(names.sandbox(uuid), 0)

    def remove(self, uuid: str) -> None:
        """Remove the sandbox; it may be gone already."""
        self._engine.remove(names.sandbox(uuid))


def _share_network(process: int, other: int) -> bool:
    """Whether two processes are in one network namespace.

    It takes privileges to look at a namespace of another user's process, but
    none at the files that each namespace has in /proc, see proc_pid_net(5).

    :returns: also true where that is not told, as one of them has ended
    """
    try:
        return os.path.samefile(f'/proc/{process}/net/dev',
                                f'/proc/{other}/net/dev')
    except OSError:
        return True
