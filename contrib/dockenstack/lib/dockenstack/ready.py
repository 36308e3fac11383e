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

"""Conditions that say that a service answers."""

from collections.abc import Callable
import pathlib
import socket
import subprocess
import urllib.error
import urllib.request

from dockenstack.settings import Home
from dockenstack.settings import LOOPBACK
from dockenstack.settings import PORTS

CONSUMERS = pathlib.Path(__file__).parent / 'cloud' / 'consumers.py'


def at_once() -> bool:
    return True


def tcp(host: str, port: int) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with socket.create_connection((host, port), 1):
                return True
        except OSError:
            return False
    return ready


def unix(path: pathlib.Path) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(path))
                return True
        except OSError:
            return False
    return ready


def http(url: str) -> Callable[[], bool]:
    """Any answer will do, a refusal too, but not an internal error."""
    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=15):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except (OSError, ValueError):
            return False
    return ready


def consumed(home: Home, *queues: str) -> Callable[[], bool]:
    """Somebody consumes every one of these message queues."""
    def ready() -> bool:
        done = subprocess.run(
            [home.bin / 'python', CONSUMERS,
             f'{LOOPBACK}:{PORTS["rabbitmq"]}', *queues],
            env={'DOCKENSTACK_AMQP_PASSWORD': home.password('rabbitmq')},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode == 0
    return ready
