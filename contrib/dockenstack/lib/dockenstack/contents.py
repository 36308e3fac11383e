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

"""What is in the cloud when `up` ends: it asks the scripts in `cloud`."""

import hashlib
import json
import pathlib
from typing import Any

from dockenstack.images import recipes
from dockenstack.openstack import cinder
from dockenstack.openstack import common
from dockenstack.openstack import horizon
from dockenstack import settings
from dockenstack.settings import Home
from dockenstack.stamp import Stamp

NEXT = """\
Try next:
  . contrib/dockenstack/openrc          # the demo user; `openrc admin`: admin
  openstack server create --image web --flavor m1.tiny --network private \\
      --security-group web --key-name demo --wait w1
  openstack floating ip create public --port \\
      "$(openstack port list --server w1 -f value -c ID)"
  curl http://ADDRESS                   # the address that it told
  ssh -i {key} root@ADDRESS             # of a server of the image `ssh`
  contrib/dockenstack/status
"""
NEXT_WITH_HORIZON = """\
  {url}                 # Horizon; {clouds} has the passwords
"""


def with_digest(path: pathlib.Path) -> tuple[str, str]:
    """An archive, and the digest by which Glance knows it."""
    return str(path), hashlib.sha512(path.read_bytes()).hexdigest()


def provision(home: Home) -> str:
    """Have flavors, images, networks, a key pair, groups, volume types."""
    images = {name: with_digest(path)
              for name, path in recipes.paths(home).items()}
    common.in_cloud(home, 'provision', {
        'images': images, 'private_key': str(home.private_key),
        'multiattach': cinder.MULTIATTACH,
        'network': {'external_cidr': settings.EXTERNAL_CIDR,
                    'external_gateway': settings.EXTERNAL_GATEWAY,
                    'external_pool': settings.EXTERNAL_POOL,
                    'private_cidr': settings.PRIVATE_CIDR,
                    'subnet_pool': settings.SUBNET_POOL}})
    return f'images {", ".join(images)}; networks public, private'


def first_server(home: Home) -> dict[str, Any]:
    """Boot the first server, or start it; empty if it was deleted."""
    stamp = Stamp(home, 'first-server')
    answer = common.in_cloud(home, 'first', {'booted': stamp.exists()})
    stamp.set()
    return dict(json.loads(answer))


def table(server: dict[str, Any]) -> str:
    """As `openstack server show` would tell it, in short."""
    rows = [(name, str(value)) for name, value in server.items()
            if name != 'seconds']
    widths = [max(len(row[column]) for row in [('Field', 'Value'), *rows])
              for column in (0, 1)]
    rule = '+'.join(['', *('-' * (width + 2) for width in widths), ''])
    lines = [f'| {name:{widths[0]}} | {value:{widths[1]}} |'
             for name, value in [('Field', 'Value'), *rows]]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def next_steps(home: Home) -> str:
    words = NEXT.format(key=home.private_key)
    if common.wanted(home, horizon.NAME).exists():
        words += NEXT_WITH_HORIZON.format(
            url=settings.url(horizon.NAME), clouds=home.clouds)
    return words
