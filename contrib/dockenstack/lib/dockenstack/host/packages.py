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

"""Install Debian packages without letting them start their own services."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import pathlib
import shutil
import tempfile
import threading

from dockenstack import shell

POLICY = pathlib.Path('/usr/sbin/policy-rc.d')
ASIDE = POLICY.with_name('policy-rc.d.dockenstack')
REFUSE = """\
#!/bin/sh
# dockenstack: nothing starts while its packages are installed
exit 101
"""
APT = ('apt-get', '-y', '-q', '--no-install-recommends',
       '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3')

# Packages of services that would start at the machine's next boot.
SERVICES = ('rabbitmq-server', 'memcached', 'openvswitch-switch', 'lxcfs',
            'haproxy', 'docker', 'containerd', 'epmd')

_lock = threading.Lock()


def missing(names: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed whole."""
    text = shell.read('dpkg-query', '-W', '-f',
                      '${Package} ${db:Status-Status}\\n', check=False)
    installed = {line.split()[0] for line in text.splitlines()
                 if line.endswith(' installed')}
    return [name for name in names if name not in installed]


def install(names: Iterable[str]) -> int:
    """Have the packages; give how many were missing."""
    with _lock:
        wanted = missing(names)
        if wanted:
            _install(wanted)
        return len(wanted)


def download(names: Iterable[str], directory: pathlib.Path) -> None:
    """Fetch packages, to be unpacked into an image, not installed."""
    with _lock:
        shell.run('apt-get', 'download', '-q', *names, cwd=directory)


def unpack(names: Iterable[str], release: str, keys: str,
           root: pathlib.Path) -> None:
    """Unpack packages of another release, with all that they depend on.

    :param release: of the Debian that this machine's packages come from
    :param keys: the file with the keys that may have signed it
    """
    with tempfile.TemporaryDirectory() as scratch:
        state = pathlib.Path(scratch)
        (state / 'sources.list').write_text(
            f'deb [signed-by={keys}] {_archive()} {release} main\n')
        for name in ('lists/partial', 'cache/archives/partial', 'parts'):
            (state / name).mkdir(parents=True)
        # Nothing is installed there.
        (state / 'status').touch()
        apt = (*APT, '-o', f'Dir::State::Lists={state}/lists',
               '-o', f'Dir::State::Status={state}/status',
               '-o', f'Dir::Cache={state}/cache',
               '-o', f'Dir::Etc::SourceList={state}/sources.list',
               '-o', f'Dir::Etc::SourceParts={state}/parts',
               '-o', 'Dir::Etc::Preferences=/dev/null',
               '-o', f'Dir::Etc::PreferencesParts={state}/parts',
               '-o', 'APT::Sandbox::User=root')
        shell.run(*apt, 'update')
        shell.run(*apt, 'install', '--download-only', *names)
        for package in sorted(state.glob('cache/archives/*.deb')):
            shell.run('dpkg', '--extract', package, root)


def _archive() -> str:
    """The address that this machine has Debian's packages from."""
    with _lock:
        # Without lists it would name none, and an image may have dropped
        # them. A source that we do not need may fail.
        shell.run(*APT, 'update', check=False)
    listed = shell.read('apt-get', 'indextargets', '--format',
                        '$(REPO_URI) $(RELEASE)', 'Created-By: Packages',
                        'Component: main')
    for line in listed.splitlines():
        address, release = line.split()
        # Not that of security updates, nor another one with a part of them.
        if release.isalpha():
            return address
    raise shell.Failure("apt has no source of Debian's own packages")


def _install(names: list[str]) -> None:
    env = shell.clean_environment(DEBIAN_FRONTEND='noninteractive')
    before = _startable()
    with _nothing_starts():
        if shell.read('dpkg', '--audit'):
            shell.run('dpkg', '--configure', '-a', env=env)
        # A source that we do not need may fail: the installation will tell.
        shell.run(*APT, 'update', env=env, check=False)
        shell.run(*APT, 'install', *names, env=env)
    for service in sorted(_startable() - before):
        if shutil.which('update-rc.d'):
            shell.run('update-rc.d', service, 'disable', env=env, check=False)


def _startable() -> set[str]:
    return {name for name in SERVICES
            if pathlib.Path('/etc/init.d', name).exists()}


@contextlib.contextmanager
def _nothing_starts() -> Iterator[None]:
    """Forbid service starts, and put the machine's own policy back.

    If an earlier run was killed, the file set aside is the machine's own.
    """
    if POLICY.exists() and POLICY.read_text() != REFUSE:
        POLICY.replace(ASIDE)
    shell.write(POLICY, REFUSE, 0o755)
    try:
        yield
    finally:
        restore_policy()


def restore_policy() -> None:
    """Undo `_nothing_starts`. May be called again."""
    if POLICY.exists() and POLICY.read_text() == REFUSE:
        POLICY.unlink()
    if ASIDE.exists():
        ASIDE.replace(POLICY)
