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

"""Privileged acts on the mounts that appear in instances."""

from collections.abc import Sequence
import contextlib
import ctypes
import os
from typing import Any
from typing import ClassVar

from oslo_concurrency import processutils

from nova_docker import privsep
from nova_docker.privsep import acts
from nova_docker.privsep import apart
from nova_docker.privsep import blocks
from nova_docker.privsep import checks
from nova_docker.privsep import mounttable

_MS_RDONLY = 0x1
_MS_REMOUNT = 0x20
_MS_PRIVATE = 0x40000
_MS_SHARED = 0x100000

#: What a mount has apart from its file system: mount(2) forgets what it is
#: not told again.
_FLAGS = {'nosuid': 0x2, 'nodev': 0x4, 'noexec': 0x8, 'noatime': 0x400,
          'nodiratime': 0x800, 'relatime': 0x200000}

#: Where the kernel waits for a server for ever.
_SHARES = frozenset({'nfs', 'nfs4'})

# The same for every machine, in linux/mount.h and linux/fcntl.h.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_ATTR_NOSUID, _ATTR_NODEV = 2, 4
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000

#: Of what comes from outside: it may neither raise privileges nor bring
#: devices. The last options win.
_RESTRICTED = ('nosuid', 'nodev')

_libc = ctypes.CDLL(None, use_errno=True)


@privsep.mount_pctxt.entrypoint
def share(directory: str) -> None:
    """Make a directory a mount whose mounts appear where it is bound to.

    Can be run again. Its mounts appear nowhere else: of a ``/`` that is
    shared, as systemd has it, a new mount is a peer. All would be mounted
    twice then, and CRIU would take whatever a container has of ``/`` for a
    copy of this directory.
    """
    checks.plain_path(directory)
    if mounttable.find(directory) is None:
        # Private before it is anywhere: below a ``/`` that is shared it gets
        # a peer group of its own as it appears, and that also in the mount
        # namespaces to which ``/`` propagates, as the engine's may be.
        _bind(directory, directory, _Attributes(propagation=_MS_PRIVATE))
    _mount(None, directory, _MS_SHARED)


@privsep.mount_pctxt.entrypoint
def attach(fstype: str, source: str, point: str,
           options: Sequence[str], restricted: bool = True) -> None:
    """Mount a file system at an instance's mount point.

    :param fstype: ``bind`` for a directory of this host, always restricted
    :param source: a device, or a server and a path on it
    :param restricted: without privileges and devices, whatever the options
    :raises ProcessExecutionError: with the words of mount(8), which knows
        how each kind of server is asked
    """
    checks.mount_point(point)
    checks.file_system(fstype, source, options)
    if fstype == 'bind':
        _bind(source, point, _Attributes(attr_set=_ATTR_NOSUID | _ATTR_NODEV))
        return
    command = ('mount', '-t', fstype, '-o', ','.join(
        [*options, *(_RESTRICTED if restricted else ())]) or 'rw',
        '--', source, point)
    if not source.startswith('/dev/'):
        processutils.execute(*command)
        return
    with acts.under_way(source) as lock:
        acts.run(lock, *command)


@privsep.mount_pctxt.entrypoint
def set_read_only(point: str, read_only: bool) -> None:
    """Let nobody write to a file system, or let them again.

    Wherever it is mounted; what was written is on its device then.

    :raises OSError: a file is open for writing, or storage that is gone
    """
    checks.mount_point(point)
    found = mounttable.find(point)
    if found is None:
        raise ValueError(f'nothing is mounted at {point!r}')
    flags = _MS_REMOUNT | (_MS_RDONLY if read_only else 0)
    for option in found.options:
        flags |= _FLAGS.get(option, 0)
    _mount(None, point, flags)


@privsep.mount_pctxt.entrypoint
def detach(point: str, lazy: bool = False) -> None:
    """Unmount what is mounted last at an instance's mount point.

    :param lazy: also if it is in use, or its storage is gone; it goes when
        that ends
    :raises TimeoutError: its storage does not answer
    :raises OSError: if it is in use, or can't be written to any more
    """
    checks.mount_point(point)
    if not lazy:
        apart.run('unmount', point, blocks.SILENCE,
                  lambda: _is_answering(point))
        return
    with contextlib.suppress(TimeoutError):
        apart.run('forsake', point, blocks.SILENCE)


@privsep.mount_pctxt.entrypoint
def flush(point: str) -> None:
    """Write to storage what was written at an instance's mount point.

    :raises TimeoutError: its storage does not answer
    :raises OSError: it can't be written to any more
    """
    checks.mount_point(point)
    apart.run('flush', point, blocks.SILENCE, lambda: _is_answering(point))


@privsep.mount_pctxt.entrypoint
def fail(share: str) -> bool:
    """Let what waits for a share whose server is away end with an error.

    What is asked for later waits again. It is unmounted if nobody uses it.

    :param share: where os-brick has mounted it
    :returns: False if it is mounted at another place too, or a part of it is.
        To the kernel they are one, and who uses that would lose what it
        writes: so nothing is done.
    """
    found = mounttable.find(share)
    if found is None or found.fstype not in _SHARES:
        return True
    checks.share(share)
    if any(each.number == found.number and each.identity != found.identity
           for each in mounttable.mounts()):
        return False
    with contextlib.suppress(OSError):
        apart.run('fail', share, blocks.SILENCE)
    return True


def _is_answering(point: str) -> bool:
    """Tell whether something that takes long to be unmounted goes on."""
    found = mounttable.find(point)
    return found is not None and blocks.is_answering(
        found.source if found.source.startswith('/dev/') else point)


class _Attributes(ctypes.Structure):
    """The kernel's struct mount_attr."""

    _fields_: ClassVar = [(name, ctypes.c_uint64) for name in (
        'attr_set', 'attr_clr', 'propagation', 'userns_fd')]


def _bind(source: str, point: str, attributes: _Attributes) -> None:
    """Make a directory appear, with its attributes from the first moment.

    mount(2) binds first and changes attributes then, which the copies in
    running containers, and in other mount namespaces, would not get. These
    calls are in Linux since 5.12.
    """
    tree = _syscall(_OPEN_TREE, point, _AT_FDCWD, os.fsencode(source),
                    _OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        _syscall(_MOUNT_SETATTR, point, tree, b'', _AT_EMPTY_PATH,
                 ctypes.byref(attributes), ctypes.sizeof(attributes))
        _syscall(_MOVE_MOUNT, point, tree, b'', _AT_FDCWD,
                 os.fsencode(point), _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def _syscall(number: int, point: str, *arguments: Any) -> int:
    """Call the kernel, since Debian 12's C library has no such functions."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each
             for each in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    _check(min(result, 0), point)
    return result


def _mount(source: str | None, point: str, flags: int) -> None:
    _check(_libc.mount(source and os.fsencode(source), os.fsencode(point),
                       None, ctypes.c_ulong(flags), None), point)


def _check(result: int, point: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), point)
