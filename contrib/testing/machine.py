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

"""A virtual machine with Debian's own kernel, which has every kind of storage.

Its disk is made once. It has no network: a job and its results are in
directories of this machine that it shares.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import hashlib
import os
import pathlib
import shlex
import subprocess
import tempfile

import debian
import process

#: Debian's release whose Python is that of the virtual environment.
SUITE = 'bookworm'
#: What this machine needs to make it and to run it.
TOOLS = ('debootstrap', 'e2fsprogs', 'qemu-system-x86')
#: What is in it.
PACKAGES = (
    'apparmor', 'btrfs-progs', 'busybox-static', 'ca-certificates',
    'cryptsetup-bin', 'dbus', 'dmsetup', 'docker.io', 'initramfs-tools',
    'iproute2', 'iptables', 'kmod', 'linux-image-amd64', 'lsscsi',
    'multipath-tools', 'nfs-kernel-server', 'nvme-cli', 'open-iscsi',
    'procps', 'python3', 'sg3-utils', 'systemd-sysv', 'tini', 'udev',
    'xfsprogs')
SIZE = '10G'
#: Seconds for it to boot with the accelerator of a processor that may not
#: really have one.
PROBE = 60

_9P = 'trans=virtio,version=9p2000.L,msize=1048576'
_UNIT = """[Unit]
After=docker.service iscsid.service multipathd.service nfs-server.service
RequiresMountsFor=/job
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh /job/run
ExecStopPost=/sbin/poweroff --force
"""
_WANTED = 'etc/systemd/system/multi-user.target.wants/job.service'
_FILES = {
    'etc/fstab': f'/dev/vda / ext4 defaults 0 1\njob /job 9p {_9P} 0 0\n',
    'etc/hostname': 'kernel\n',
    'etc/hosts': '127.0.0.1 localhost kernel\n',
    'etc/systemd/system/job.service': _UNIT,
}


class Machine:
    """It runs one job at a time, each on a new copy of its disk.

    :param home: where its disk is kept
    :param env: for the programs that make and run it
    :param log: what they say
    """

    def __init__(self, home: pathlib.Path, env: Mapping[str, str],
                 log: pathlib.Path) -> None:
        self._home = home
        self._env = env
        self._log = log
        self._disk = home / f'{_digest()}.img'
        self._kernel, self._initrd = (
            self._disk.with_suffix(f'.{kind}')
            for kind in ('vmlinuz', 'initrd'))

    def prepare(self) -> None:
        """Have the programs and the disk.

        :raises RuntimeError: they could not be had
        """
        debian.install(TOOLS, self._env, self._log)
        if not self._disk.exists():
            self._make_disk()

    def run(self, script: str, shown: Iterable[pathlib.Path],
            job: pathlib.Path, minutes: int) -> int:
        """Run a shell script as its root; nothing of it is left.

        :param shown: directories of this machine that are there, read-only
        :param job: a directory that is its ``/job``, for results
        :returns: the script's exit status; 124 if the machine was stopped
        """
        status = job / 'status'
        status.unlink(missing_ok=True)
        shares = {f'shown{number}': path
                  for number, path in enumerate(shown)}
        (job / 'run').write_text(_script(script, shares))
        shares['job'] = job
        code = self._boot(self._accelerator(), shares, minutes * 60)
        return int(status.read_text()) if status.exists() else code or 1

    def _accelerator(self) -> str:
        """Return KVM if a guest really runs with it.

        Some machines have the device and no use of it.
        """
        emulation = 'tcg,thread=multi'
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            return emulation
        with tempfile.TemporaryDirectory() as job:
            path = pathlib.Path(job)
            (path / 'run').write_text('touch /job/status')
            self._boot('kvm', {'job': path}, PROBE)
            return 'kvm' if (path / 'status').exists() else emulation

    def _boot(self, accelerator: str, shares: Mapping[str, pathlib.Path],
              seconds: int) -> int:
        command: list[str | os.PathLike[str]] = [
            'qemu-system-x86_64', '-accel', accelerator, '-cpu', 'max',
            '-smp', str(os.cpu_count() or 1), '-m', '3G',
            '-nodefaults', '-nographic', '-serial', 'stdio', '-no-reboot',
            '-kernel', self._kernel, '-initrd', self._initrd,
            # On a busy machine the emulated timers seem not to tick at boot.
            '-append', 'root=/dev/vda rw console=ttyS0 panic=1 quiet '
            'no_timer_check',
            '-snapshot', '-drive', f'file={self._disk},format=raw,if=virtio',
        ]
        for tag, path in shares.items():
            read_only = 'off' if tag == 'job' else 'on'
            command += ['-virtfs', f'local,path={path},mount_tag={tag},'
                        f'security_model=none,readonly={read_only}']
        return process.run(command, self._log, cwd=self._home,
                           env={**self._env, 'TMPDIR': f'{self._home}'},
                           timeout=seconds)

    def _make_disk(self) -> None:
        root, draft = self._home / 'root', self._home / 'draft'
        self._clear()
        self._home.mkdir(parents=True)
        self._do('debootstrap', '--variant=minbase',
                 f'--include={",".join(PACKAGES)}', SUITE, f'{root}')
        for name, content in _FILES.items():
            (root / name).write_text(content)
        (root / _WANTED).symlink_to('../job.service')
        (root / 'job').mkdir()
        self._do('cp', f'{root}/vmlinuz', f'{self._kernel}')
        self._do('cp', f'{root}/initrd.img', f'{self._initrd}')
        self._do('mkfs.ext4', '-q', '-F', '-d', f'{root}', f'{draft}', SIZE)
        self._do('rm', '--recursive', '--one-file-system', f'{root}')
        draft.rename(self._disk)

    def _clear(self) -> None:
        """Remove former disks, and what is left of one half made.

        debootstrap may have left /proc mounted in that.
        """
        if self._home.exists():
            subprocess.run(['umount', '--recursive', self._home / 'root/proc'],
                           stderr=subprocess.DEVNULL, check=False)
            self._do('rm', '--recursive', '--one-file-system',
                     f'{self._home}')

    def _do(self, *command: str) -> None:
        debian.do(command, self._env, self._log)


def _digest() -> str:
    return hashlib.sha256(repr(
        (SUITE, PACKAGES, SIZE, _FILES)).encode()).hexdigest()[:12]


def _script(script: str, shares: Mapping[str, pathlib.Path]) -> str:
    lines = ['exec < /dev/null']
    for tag, path in shares.items():
        lines += [f'mkdir -p {shlex.quote(str(path))}',
                  f'mount -t 9p -o ro,cache=loose,{_9P} {tag} '
                  f'{shlex.quote(str(path))}']
    return '\n'.join([*lines, f'({script})', 'echo $? > /job/status', ''])
