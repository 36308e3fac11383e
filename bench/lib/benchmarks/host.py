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

"""A compute host of the benchmark's own: engine, switch and privileges.

The network is a namespace, so nothing of the machine's is touched, and
privileged functions run in daemons, as they do under nova-compute.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import pathlib
import sys
import tempfile

import engine as private_engine
from nova import objects
import os_vif

from nova_docker.conf import CONF
from nova_docker.tests.functional.network import openvswitch
from nova_docker.tests.functional.network import processes

_CLONE_NEWNET = 0x40000000
#: Beside the tests' own, so that both can run.
_ENGINE = 'bench-engine'


def _home() -> pathlib.Path:
    return pathlib.Path(os.environ.get('DOCKENSTACK_HOME')
                        or '/var/lib/dockenstack')


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """Have an empty Docker Engine run; yields its address."""
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    daemon = private_engine.Engine(home / _ENGINE, home / f'{_ENGINE}.log')
    with daemon.running(dict(os.environ)):
        yield daemon.url


@contextlib.contextmanager
def compute(engine_url: str) -> Iterator[None]:
    """Make this process a compute host without Nova's other services."""
    CONF([], project='nova', default_config_files=[])
    CONF.set_override('url', engine_url, 'docker')
    # What a workload gets must not depend on the machine.
    CONF.set_override('lxcfs', 'off', 'docker')
    objects.register_all()
    with tempfile.TemporaryDirectory() as directory:
        CONF.set_override('state_path', directory)
        _enter_own_network()
        switch = openvswitch.Switch(directory)
        try:
            _configure(switch)
            yield
        finally:
            switch.stop()
            # The driver's own, which stays when nova-compute ends.
            processes.run('umount', CONF.docker.mounts_path)


def _enter_own_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    processes.run('ip', 'link', 'set', 'lo', 'up')


def _configure(switch: openvswitch.Switch) -> None:
    helper = pathlib.Path(sys.executable).with_name('privsep-helper')
    command = f'env PYTHONPATH={":".join(sys.path)} {helper}'
    for section in ('docker_network_privileged', 'docker_mount_privileged',
                    'vif_plug_ovs_privileged'):
        CONF.set_override('helper_command', command, section)
    os_vif.initialize()
    CONF.set_override('ovsdb_connection', switch.connection, 'os_vif_ovs')
    # The plugin reads the option once, when it is made.
    os_vif.initialize(reset=True)
