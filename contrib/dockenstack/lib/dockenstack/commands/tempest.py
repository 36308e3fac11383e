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

"""`tempest`: run Tempest's tests against the cloud."""

import json
import os
import pathlib
import subprocess

from dockenstack.commands import base
from dockenstack import contents
from dockenstack.images import recipes
from dockenstack.openstack import common
from dockenstack.openstack import tempest
from dockenstack.settings import Home
from dockenstack import shell

DESCRIPTION = """\
Run those of Tempest's tests whose names match a regular expression. More
arguments go to `tempest run`, such as --exclude-regex or --list-tests. What
is tested and what not is in lib/dockenstack/openstack/tempest.py; the results
are in the home's directory tempest, where `stestr last` shows them again."""


def main(arguments: list[str]) -> int:
    parser = base.parser('tempest', DESCRIPTION)
    parser.add_argument('regex', metavar='REGEX')
    parser.add_argument('--concurrency', default='2',
                        help='tests at the same time (%(default)s)')
    options, more = parser.parse_known_args(arguments)
    base.require_root()
    home = Home.from_environment()
    if not home.clouds.exists():
        raise SystemExit('there is no cloud: contrib/dockenstack/up')
    place = prepare(home)
    return subprocess.run(
        [home.bin / 'tempest', 'run', '--config-file',
         place / 'etc' / 'tempest.conf', '--concurrency',
         options.concurrency, '--regex', options.regex, *more],
        cwd=place, env=shell.clean_environment(
            **home.caches, PATH=f'{home.bin}:{os.environ["PATH"]}')
    ).returncode


def prepare(home: Home) -> pathlib.Path:
    """Have a workspace with a configuration of this cloud, as it is now."""
    place = tempest.workspace(home)
    for name in ('logs', 'locks', 'etc'):
        (place / name).mkdir(parents=True, exist_ok=True)
    found = common.in_cloud(home, 'lookup', {
        'image': contents.with_digest(recipes.paths(home)['ssh'])})
    tempest.compress(recipes.paths(home)['ssh'], tempest.image_file(home))
    tempest.configure(home, json.loads(found))
    return place
