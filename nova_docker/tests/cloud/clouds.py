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

"""The cloud under test: its API, its command line, its files."""

from __future__ import annotations

from collections.abc import Callable
import functools
import json
import os
import pathlib
import subprocess
import threading
import time
from typing import Any

import openstack

#: Seconds after which something that must happen has not. Generous: a slow
#: machine may not fail a test.
PATIENCE = 120


def home() -> pathlib.Path:
    """Return the directory with the cloud's state, as its openrc has it."""
    return pathlib.Path(os.environ['OS_CLIENT_CONFIG_FILE']).parent


@functools.cache
def connection(name: str) -> Any:
    """Return the API as a user sees it: ``demo`` or ``admin``."""
    return openstack.connect(cloud=name)


@functools.cache
def image_id(name: str) -> str:
    """Return the id of an image, which the demo user sees."""
    images = connection('demo').image
    return str(images.find_image(name, ignore_missing=False).id)


@functools.cache
def flavor_id(name: str) -> str:
    """Return the id of a flavor."""
    flavors = connection('demo').compute
    return str(flavors.find_flavor(name, ignore_missing=False).id)


@functools.cache
def network_id(name: str) -> str:
    """Return the id of a network, which the demo user sees."""
    networks = connection('demo').network
    return str(networks.find_network(name, ignore_missing=False).id)


def openstack_command(*arguments: str) -> Any:
    """Run the openstack command as the demo user; return what it shows."""
    ran = subprocess.run(
        ['openstack', '--os-cloud', 'demo', *arguments], check=False,
        capture_output=True, text=True, timeout=PATIENCE)
    if ran.returncode:
        raise AssertionError(f'openstack {" ".join(arguments)}: {ran.stderr}')
    return json.loads(ran.stdout) if 'json' in arguments else ran.stdout


def wait_until(condition: Callable[[], Any], expected: str,
               seconds: float = PATIENCE, pause: float = 0.2) -> Any:
    """Return the first true value of a condition.

    :param expected: what it waits for, for the failure's message
    :param pause: seconds between two looks
    """
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {seconds} s: {expected}')
        never.wait(pause)
