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

"""What is in the images: a shell, a web server, an SSH server."""

import glob
import inspect
import pathlib

from dockenstack.images import archive
from dockenstack.settings import Home
from dockenstack import shell
from dockenstack.stamp import Stamp

PACKAGES = ('busybox-static', 'curl', 'dropbear-bin', 'iproute2',
            'iputils-ping', 'passwd', 'sudo')
BUSYBOX = '/bin/busybox'

WEB_START = """\
#!/bin/sh
# Serve a page that tells which server this is.
{
    echo "<h1>$(hostname)</h1><pre>"
    ip -o address show | awk '{ print $2, $4 }'
    echo "</pre>"
} > /srv/www/index.html
echo "$(hostname) serves HTTP on port 80"
exec httpd -f -v -p 80 -h /srv/www
"""

SSH_START = """\
#!/bin/sh
# Tell what there is, then serve SSH to the keys of root.
echo "Welcome to $(hostname)"
echo "Kernel:    $(uname -sr)"
echo "Processor: $(grep -c ^processor /proc/cpuinfo)"
echo "Memory:    $(awk '/^MemTotal/ { print $2, $3 }' /proc/meminfo)"
echo "Uptime:    $(cut -d ' ' -f 1 /proc/uptime) s"
echo "Interfaces:"
ip -o address show | awk '{ print "   ", $2, $4 }'
echo "Routes:"
ip route show | awk '{ print "   ", $0 }'
echo "Name servers:"
awk '/^nameserver/ { print "   ", $2 }' /etc/resolv.conf
echo "Keys of root: $(cat /root/.ssh/authorized_keys 2>/dev/null | wc -l)"
echo "Host keys are made when they are first asked for"
mkdir -p /etc/dropbear
echo "SSH server starts on port 22"
# In the foreground, log on the console, make host keys. Root has no password
# until one is set.
exec dropbear -F -E -R -p 22
"""

# Tempest knows config drives as block devices with a label, which it mounts. A
# container's is a directory, mounted already, and it may not mount anything.
# Volumes it knows as disks, to be given a file system and to be mounted. Those
# of a container have one, and are mounted at /volumes under the disk's name.
BLKID = """\
#!/bin/sh
[ "$1 $2" = "-L config-2" ] && [ -d /config-drive ] || exit 2
echo /config-drive
"""
LSBLK = """\
#!/bin/sh
printf '%-36s %s\\n' NAME TYPE
awk '$5 ~ "^/volumes/[^/]+$" { printf "%-36s disk\\n", substr($5, 10) }' \\
    /proc/self/mountinfo
"""
MKFS = """\
#!/bin/sh
for last; do :; done
[ -d "/volumes/${last#/dev/}" ]
"""
MOUNT = """\
#!/bin/sh
if [ $# = 2 ] && [ -d "/volumes/${1#/dev/}" ]; then
    rmdir "$2" && ln -s "/volumes/${1#/dev/}" "$2"
elif [ $# = 2 ] && [ -d "$1" ]; then
    rmdir "$2" && ln -s "$1" "$2"
else
    exec busybox mount "$@"
fi
"""
UMOUNT = """\
#!/bin/sh
if [ -L "$1" ]; then
    rm "$1" && mkdir "$1"
else
    exec busybox umount "$@"
fi
"""


def _base() -> archive.Layer:
    """BusyBox, its commands, and the files that every system has."""
    layer = archive.Layer()
    for path in ('/dev', '/proc', '/sys', '/run', '/var/log', '/etc'):
        layer.directory(path)
    layer.directory('/tmp', 0o1777)
    layer.directory('/root', 0o700)
    layer.file('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'
                              'nobody:x:65534:65534:nobody:/:/bin/false\n')
    layer.file('/etc/group', 'root:x:0:\nnogroup:x:65534:\n')
    layer.file('/etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o600)
    layer.file('/etc/shells', '/bin/sh\n')
    layer.file('/etc/nsswitch.conf',
               'passwd: files\ngroup: files\nhosts: files dns\n')
    layer.copy(BUSYBOX)
    for path in shell.read(BUSYBOX, '--list-full').split():
        if f'/{path}' != BUSYBOX:
            layer.link(f'/{path}', BUSYBOX)
    return layer


def busybox(path: pathlib.Path) -> None:
    archive.save(_base(), ['/bin/sh'], 'busybox', path)


def web(path: pathlib.Path) -> None:
    layer = _base()
    layer.directory('/srv/www')
    layer.file('/sbin/start', WEB_START, 0o755)
    archive.save(layer, ['/sbin/start'], 'web', path)


def ssh(path: pathlib.Path) -> None:
    """The tools that Tempest runs over SSH are the usual ones.

    Bash is the shell: BusyBox's prefers its own commands to those in PATH.
    """
    layer = _base()
    for name in ('/bin/sh', '/bin/ip', '/sbin/ip', '/bin/ping', '/bin/mount',
                 '/bin/umount'):
        layer.entries.pop(name, None)
    layer.programs('/usr/sbin/dropbear', '/bin/bash', '/bin/ip', '/bin/ping',
                   '/usr/bin/curl', '/usr/bin/sudo', '/usr/sbin/chpasswd',
                   *glob.glob('/usr/libexec/sudo/*.so*'),
                   # Where PAM looks: Debian 13's in /usr/lib, 12's in /lib.
                   *glob.glob('/usr/lib/*/security/pam_permit.so'),
                   *glob.glob('/usr/lib/*/security/pam_unix.so'),
                   *glob.glob('/lib/*/security/pam_permit.so'),
                   *glob.glob('/lib/*/security/pam_unix.so'))
    layer.link('/sbin/ip', '/bin/ip')
    layer.link('/bin/sh', '/bin/bash')
    layer.file('/etc/sudoers', 'root ALL=(ALL:ALL) NOPASSWD: ALL\n', 0o440)
    layer.file('/etc/pam.d/sudo', ''.join(
        f'{kind} required pam_permit.so\n'
        for kind in ('auth', 'account', 'password', 'session')))
    layer.file('/etc/pam.d/chpasswd',
               'password required pam_unix.so sha512\n')
    layer.directory('/mnt')
    for program, script in (
            ('/sbin/start', SSH_START), ('/sbin/blkid', BLKID),
            ('/bin/lsblk', LSBLK), ('/sbin/mkfs', MKFS),
            ('/bin/mount', MOUNT), ('/bin/umount', UMOUNT)):
        layer.file(program, script, 0o755)
    archive.save(layer, ['/sbin/start'], 'ssh', path)


RECIPES = {'busybox': busybox, 'web': web, 'ssh': ssh}


def paths(home: Home) -> dict[str, pathlib.Path]:
    return {name: home.images / f'{name}.tar' for name in RECIPES}


def make(home: Home) -> str:
    """Have the archives, made again when a recipe has changed."""
    wanted = shell.digest(inspect.getsource(archive),
                          pathlib.Path(__file__))
    stamp = Stamp(home, 'images')
    if stamp.holds(wanted) and all(
            path.exists() for path in paths(home).values()):
        return 'all there'
    for name, path in paths(home).items():
        RECIPES[name](path)
    stamp.set(wanted)
    return ', '.join(f'{name} {path.stat().st_size / 1e6:.1f} MB'
                     for name, path in paths(home).items())
