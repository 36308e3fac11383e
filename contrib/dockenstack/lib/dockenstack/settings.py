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

"""Where everything of the cloud lives: paths, addresses, ports, secrets."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import secrets

HOST = 'dockenstack'
REGION = 'RegionOne'
LOOPBACK = '127.0.0.1'

# Who runs what. Members of GROUP may read the configuration.
GROUP = 'dockenstack'
SERVICE_USER = 'dockenstack'
COMPUTE_USER = 'dockenstack-nova'
VOLUME_USER = 'dockenstack-cinder'
SHARE_USER = 'dockenstack-manila'

BRIDGES = ('br-int', 'br-tun', 'br-ex')
EXTERNAL_GATEWAY = '172.24.4.1'
EXTERNAL_CIDR = '172.24.4.0/24'
EXTERNAL_POOL = ('172.24.4.10', '172.24.4.250')
PRIVATE_CIDR = '10.90.0.0/24'
# For networks that Neutron makes by itself.
SUBNET_POOL = '10.92.0.0/16'

PORTS = {
    'keystone': 5000,
    'glance': 9292,
    'placement': 8778,
    'neutron': 9696,
    'nova': 8774,
    'nova-metadata': 8775,
    'nova-serialproxy': 6083,
    'cinder': 8776,
    'barbican': 9311,
    'manila': 8786,
    'horizon': 8780,
    # Not the usual ones: the machine may have its own.
    'rabbitmq': 15673,
    'rabbitmq-distribution': 35673,
    'epmd': 14369,
    'memcached': 21211,
    'openflow': 16633,
}

# /etc/dockenstack is a link to the configuration: Nova's rootwrap filters
# accept a configuration file below /etc only.
ETC_LINK = pathlib.Path('/etc/dockenstack')
SUDOERS = pathlib.Path('/etc/sudoers.d')


@dataclasses.dataclass(frozen=True)
class Home:
    """The directory that holds the state, and the checkout it serves."""

    root: pathlib.Path
    source: pathlib.Path

    @classmethod
    def from_environment(cls) -> 'Home':
        root = os.environ.get('DOCKENSTACK_HOME', '/var/lib/dockenstack')
        source = pathlib.Path(__file__).resolve().parents[4]
        return cls(pathlib.Path(os.path.abspath(root)), source)

    @property
    def tag(self) -> str:
        """Tells this cloud from another of the machine in shared names."""
        path = str(self.root).encode()
        return f'dockenstack-{hashlib.sha256(path).hexdigest()[:8]}'

    @property
    def venv(self) -> pathlib.Path:
        return self.root / 'venv'

    @property
    def bin(self) -> pathlib.Path:
        return self.venv / 'bin'

    @property
    def site_packages(self) -> pathlib.Path:
        return self.venv / 'lib' / 'python3.11' / 'site-packages'

    @property
    def etc(self) -> pathlib.Path:
        return self.root / 'etc'

    @property
    def local(self) -> pathlib.Path:
        """Whoever uses the cloud puts options of their own here."""
        return self.root / 'local'

    @property
    def data(self) -> pathlib.Path:
        return self.root / 'data'

    @property
    def run(self) -> pathlib.Path:
        return self.root / 'run'

    @property
    def log(self) -> pathlib.Path:
        return self.root / 'log'

    @property
    def stamps(self) -> pathlib.Path:
        return self.root / 'stamps'

    @property
    def images(self) -> pathlib.Path:
        return self.root / 'images'

    @property
    def caches(self) -> dict[str, str]:
        """An environment that keeps caches out of root's home directory."""
        return {'XDG_CACHE_HOME': str(self.root / 'cache')}

    @property
    def project(self) -> pathlib.Path:
        return self.source / 'contrib' / 'dockenstack'

    @property
    def clouds(self) -> pathlib.Path:
        return self.root / 'clouds.yaml'

    @property
    def private_key(self) -> pathlib.Path:
        return self.root / 'demo.pem'

    @functools.cached_property
    def seed(self) -> str:
        """The one secret of this cloud; every password comes from it."""
        path = self.root / 'seed'
        if not path.exists():
            draft = path.with_suffix('.new')
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32))
            draft.replace(path)
        return path.read_text()

    def password(self, name: str) -> str:
        return hashlib.sha256(f'{self.seed}:{name}'.encode()).hexdigest()[:32]

    def make(self) -> None:
        """Make the directories; those of one service are made with it."""
        if len(str(self.run)) > 64:
            raise ValueError(
                f'{self.root} is too long: the path of a unix socket below '
                'it must stay under 108 characters')
        for path in (self.root, self.etc, self.data, self.run, self.log,
                     self.stamps, self.images):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)


def url(service: str) -> str:
    """The address on which a service answers HTTP."""
    return f'http://{LOOPBACK}:{PORTS[service]}'
