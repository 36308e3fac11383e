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

"""Remove the network namespaces and interfaces that agents leave behind."""

import pathlib
import re

from dockenstack import shell

NEUTRON_NAMESPACE = re.compile(r'^q(dhcp|router)-[0-9a-f-]{36}')
NETNS = pathlib.Path('/run/netns')
LINKS = pathlib.Path('/sys/class/net')


def remove_neutron() -> None:
    """Remove all of Neutron's namespaces. May be called again."""
    if not NETNS.is_dir():
        return
    for entry in NETNS.iterdir():
        if NEUTRON_NAMESPACE.match(entry.name):
            shell.run('ip', 'netns', 'delete', entry.name, check=False)
            # A name whose mount went with a power cut is a mere file.
            entry.unlink(missing_ok=True)


def remove_directory() -> None:
    """Undo the mount that the first namespace made, if it was the last."""
    if NETNS.is_dir() and not list(NETNS.iterdir()):
        shell.run('umount', NETNS, check=False)
        NETNS.rmdir()


def remove_link(name: str) -> None:
    """Remove one interface of the host. May be called again."""
    if (LINKS / name).exists():
        shell.run('ip', 'link', 'delete', name, check=False)
