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

"""The gate: what a workload starts as until its root is its volume.

The engine starts it from an image of a few hundred bytes. It waits for words
from a pipe, and becomes the server's own program then, in the same process:
by that time the driver has put the volume in the place of that image.
"""

from __future__ import annotations

import platform
from typing import Final

from nova import exception
from nova_docker import builtin
from nova_docker import elf
from nova_docker.engine import client
from nova_docker import names

#: The program, and what it reads its words from.
PROGRAM: Final = '/gate'
PIPE: Final = '/gate.fifo'

# Both are the same, after this in C. Where there is no more to read, the
# buffer has two strings; what a nova-compute that was killed has begun to
# write is an empty one.
#
#     int main(int argc, char **argv, char **envp) {
#         char words[0x4000], *end = words;
#         int pipe, n;
#         do {
#             if ((pipe = open(PIPE, O_RDONLY | O_CLOEXEC)) < 0)
#                 return 127;
#             while ((n = read(pipe, end, words + sizeof words - end)) > 0)
#                 end += n;
#             if (n < 0)
#                 return 127;
#             close(pipe);
#         } while (end == words);
#         if (chdir(words) < 0)
#             return 127;
#         execve(words + strlen(words) + 1, argv + 1, envp);
#         return 127;
#     }
#
# Linux's ELF machine number and the code, which PIPE follows.
_CODE: Final = {
    'x86_64': (62, bytes.fromhex(
        '4889e3488d3d7d000000be000008006a02580f0585c0786789c54c8dab00c0ffff488d'
        'a300bfffff31c089ef4c89ee4889da4c29ea0f0585c0784474054901c5ebe689ef6a03'
        '580f05488dbb00c0ffff4939fd74ae6a50580f0585c07821488dbb00c0ffff48ffc780'
        '7fff0075f7488d7310488b13488d54d3106a3b580f056a7f5f6a3c580f05')),
    'aarch64': (183, bytes.fromhex(
        'f3030091600c8092e10400100201a0d2080780d2010000d40004f8b7f403'
        '00aa751240d1bf0204d1f60315aae00314aae10316aa620216cbe80780d2'
        '010000d4c002f8b7600000b4d602008bf8ffff17e00314aa280780d20100'
        '00d4df0215eb20fdff54e00315aa280680d2010000d44001f8b7e00315aa'
        '01144038e1ffff3561420091620240f9620e028b42400091a81b80d20100'
        '00d4e00f80d2a80b80d2010000d4')),
}


def executable(machine: str) -> bytes:
    """Return the program.

    :param machine: as platform.machine() has it
    :raises InvalidInput: on a machine we have none for
    """
    if machine not in _CODE:
        raise exception.InvalidInput(
            reason=f"a server can not boot from a volume on a host whose "
                   f"machine is '{machine}', but only on "
                   f'{" and ".join(_CODE)}.')
    number, code = _CODE[machine]
    return elf.executable(number, code + PIPE.encode() + b'\0')


class Gate:
    """Has the gate's image in the engine.

    :param engine: where it is
    """

    def __init__(self, engine: client.Engine) -> None:
        self._image = builtin.Image(engine, names.GATE_IMAGE, PROGRAM, PIPE)

    def prepare(self) -> str:
        """Make sure that the image is there and return its name."""
        return self._image.ensure(executable(platform.machine()))
