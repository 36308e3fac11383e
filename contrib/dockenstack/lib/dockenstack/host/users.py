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

"""The unprivileged users of the cloud, and what some may do as root."""

from collections.abc import Callable
import grp
import os
import pathlib
import pwd

from dockenstack.settings import COMPUTE_USER
from dockenstack.settings import ETC_LINK
from dockenstack.settings import GROUP
from dockenstack.settings import Home
from dockenstack.settings import SERVICE_USER
from dockenstack.settings import SHARE_USER
from dockenstack.settings import SUDOERS
from dockenstack.settings import VOLUME_USER
from dockenstack import shell

SUDOERS_TEXT = """\
# dockenstack: this user may run the commands that rootwrap's filters allow
Defaults:{user} !requiretty, !syslog
Defaults:{user} secure_path="{bin}:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults:{user} env_keep += "DOCKENSTACK_HOME DOCKENSTACK_SERVICE"
{user} ALL=(root) NOPASSWD: {rootwrap} {conf} *
"""
USERS = (SERVICE_USER, COMPUTE_USER, VOLUME_USER, SHARE_USER)
ROOTWRAP_TEXT = """\
[DEFAULT]
filters_path = {filters}
exec_dirs = {bin},/usr/sbin,/usr/bin,/sbin,/bin
use_syslog = False
"""


def group_id(name: str = GROUP) -> int:
    return grp.getgrnam(name).gr_gid


def create(home: Home) -> None:
    """Have the users and the group. May be called again."""
    if not _exists(grp.getgrnam, GROUP):
        shell.run('groupadd', '--system', GROUP)
    for user in USERS:
        if not _exists(pwd.getpwnam, user):
            shell.run('useradd', '--system', '--gid', GROUP, '--no-log-init',
                      '--home-dir', home.data / user, '--shell',
                      '/usr/sbin/nologin', user)
        own(home.data / user, user, 0o750)


def own(path: pathlib.Path, user: str, mode: int = 0o750) -> pathlib.Path:
    """A directory that belongs to one of the users."""
    account = pwd.getpwnam(user)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, account.pw_uid, account.pw_gid)
    path.chmod(mode)
    return path


def join(user: str, group: str) -> None:
    if user not in grp.getgrnam(group).gr_mem:
        shell.run('usermod', '--append', '--groups', group, user)


def link_configuration(home: Home) -> None:
    """Point /etc/dockenstack at this cloud's configuration."""
    if ETC_LINK.is_symlink() and ETC_LINK.readlink() == home.etc:
        return
    if ETC_LINK.exists():
        raise shell.Failure(
            f'{ETC_LINK} exists and is not of this cloud ({home.root}): '
            'bring that cloud down with --purge first')
    ETC_LINK.unlink(missing_ok=True)
    ETC_LINK.symlink_to(home.etc)


def rootwrap_conf(project: str) -> pathlib.Path:
    """The rootwrap configuration of a project, as its services know it."""
    return ETC_LINK / project / 'rootwrap.conf'


def allow_rootwrap(home: Home, user: str, project: str,
                   *filters: pathlib.Path) -> None:
    """Let a user become root through its project's rootwrap alone.

    :param filters: directories with what it may run, besides the project's
    """
    directories = [home.venv / 'etc' / project / 'rootwrap.d', *filters]
    link_configuration(home)
    shell.write(home.etc / project / 'rootwrap.conf',
                ROOTWRAP_TEXT.format(
                    filters=','.join(map(str, directories)), bin=home.bin))
    draft = home.etc / project / 'sudoers'
    shell.write(draft, SUDOERS_TEXT.format(
        user=user, rootwrap=home.bin / f'{project}-rootwrap', bin=home.bin,
        conf=rootwrap_conf(project)), 0o440)
    shell.run('visudo', '--check', '--file', draft)
    shell.write(SUDOERS / user, draft.read_text(), 0o440)


def remove() -> None:
    """Undo all of the above, but for users that another cloud runs as.

    May be called again.
    """
    for path in SUDOERS.glob('dockenstack*'):
        path.unlink()
    if ETC_LINK.is_symlink():
        ETC_LINK.unlink()
    for user in USERS:
        if _exists(pwd.getpwnam, user):
            shell.run('userdel', user, check=False)
    if _exists(grp.getgrnam, GROUP):
        shell.run('groupdel', GROUP, check=False)


def _exists(lookup: Callable[[str], object], name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True
