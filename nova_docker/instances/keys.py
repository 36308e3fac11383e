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

"""The key pair's public key, where an SSH server in the workload looks."""

from __future__ import annotations

import dataclasses
import posixpath
import re

from oslo_log import log as logging

from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import files
from nova_docker import names
from nova_docker.rootvolume import layout

LOG = logging.getLogger(__name__)

#: Accounts that are kept; more are forgotten together.
_REMEMBERED = 1000
#: A line of /etc/passwd.
_ACCOUNT = re.compile(
    '(?P<name>[^:]+):[^:]*:(?P<uid>[0-9]{1,10}):(?P<gid>[0-9]{1,10})'
    ':[^:]*:(?P<home>[^:]*)(:.*)?')


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of the image."""

    uid: int
    gid: int
    home: str


ROOT = Account(0, 0, '/root')


def account(user: str, passwd: str) -> Account | None:
    """Return the account of a container's user; None if there is none.

    :param user: as a container's configuration has it: a name or a uid,
        with or without ``:group``; empty is root
    :param passwd: the text of the image's /etc/passwd
    """
    wanted = user.partition(':')[0] or '0'
    for line in passwd.splitlines():
        match = _ACCOUNT.fullmatch(line)
        if match and wanted in match.group('name', 'uid'):
            return Account(int(match['uid']), int(match['gid']),
                           posixpath.normpath(
                               '/' + match['home'].lstrip('/')))
    return ROOT if wanted in ('0', 'root') else None


def archive(key: str, existing: str, owner: Account) -> bytes:
    """Return a tar, to unpack at /, with the user's authorized_keys.

    :param key: the public key's line
    :param existing: what the image has in that file, which stays
    :param owner: whose file it is
    """
    lines = existing.splitlines()
    if key.strip() not in lines:
        lines.append(key.strip())
    content = ('\n'.join(lines) + '\n').encode(errors='surrogateescape')
    directory = posixpath.join(owner.home.lstrip('/'), '.ssh')
    return files.pack(
        files.Member(path, mode, data, owner.uid, owner.gid)
        for path, mode, data in (
            (directory, 0o700, None),
            (f'{directory}/authorized_keys', 0o600, content)))


class Keys:
    """Gives a workload its authorized key before it starts.

    :param engine: whose containers are written to
    """

    def __init__(self, engine: files.Source) -> None:
        self._engine = engine
        self._accounts: dict[tuple[str, str], Account | None] = {}

    def inject(self, instance: objects.Instance) -> None:
        """Write the key pair's public key into a created workload."""
        if not instance.key_data:
            return
        name = names.workload(instance.uuid)
        container = self._engine.container(name)
        if container['HostConfig']['ReadonlyRootfs']:
            LOG.warning('The root file system is read-only: the key pair is '
                        'only in the metadata.', instance=instance)
            return
        owner = self._account(name, container)
        if owner is None:
            LOG.warning("The image has no account for its user '%s': the key "
                        'pair is only in the metadata.',
                        container['Config']['User'], instance=instance)
            return
        owner = dataclasses.replace(owner, home=self._home(name, owner))
        existing = files.read(self._engine, name,
                              f'{owner.home}/.ssh/authorized_keys')
        self._engine.write_archive(
            name, '/', archive(instance.key_data, existing, owner))

    def _home(self, name: str, owner: Account) -> str:
        """Return the home directory without links, if it is there."""
        try:
            return files.find(self._engine, name, owner.home)[0]
        except errors.EngineNotFound:
            return owner.home

    def owner(self, name: str) -> Account:
        """Return whom a created container starts as; root if in doubt."""
        container = self._engine.container(name)
        return self._account(name, container) or ROOT

    def _account(self, name: str,
                 container: client.Document) -> Account | None:
        """Return the account of a created container's user.

        An engine image, unlike a volume, never changes, so each is read but
        once: the engine
        starts a process for that, and a spawn has few steps as slow.
        """
        user = container['Config']['User']
        if layout.source(container):
            return account(user, files.read(self._engine, name,
                                            '/etc/passwd'))
        read = container['Image'], user
        known = self._accounts
        if read not in known:
            if len(known) >= _REMEMBERED:
                known = self._accounts = {}
            known[read] = account(
                user, files.read(self._engine, name, '/etc/passwd'))
        return known[read]
