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

import csv
import json
import os
import pathlib
import re
import subprocess

from dockenstack.commands import base
from dockenstack import contents
from dockenstack.images import recipes
from dockenstack.openstack import barbican
from dockenstack.openstack import common
from dockenstack.openstack import second
from dockenstack.openstack import tempest
from dockenstack.settings import Home
from dockenstack import shell

DESCRIPTION = """\
Run those of Tempest's tests whose names match a regular expression, but not
those that contrib/testing/tempest-exclude.csv leaves out, with reasons, nor
those that take two compute hosts where the cloud has one, nor those that run
with --as-demo alone. More arguments go to `tempest run`, such as
--exclude-regex or --list-tests. What is tested and what not is in
lib/dockenstack/openstack/tempest.py; the results are in the home's directory
tempest, where `stestr last` shows them again."""


def main(arguments: list[str]) -> int:
    parser = base.parser('tempest', DESCRIPTION)
    parser.add_argument('regex', metavar='REGEX')
    parser.add_argument('--concurrency', default='2',
                        help='tests at the same time (%(default)s)')
    parser.add_argument('--as-demo', action='store_true',
                        help='as the user demo, one test at a time, not as '
                        'users that Tempest makes')
    parser.add_argument('--everything', action='store_true',
                        help='leave no test out')
    options, more = parser.parse_known_args(arguments)
    base.require_root()
    home = Home.from_environment()
    if not home.clouds.exists():
        raise SystemExit('there is no cloud: contrib/dockenstack/up')
    place = prepare(home)
    if options.as_demo:
        options.concurrency = '1'
    if not options.everything:
        more += ['--exclude-list',
                 os.fspath(left_out(home, place, options.as_demo))]
    environment = shell.clean_environment(
        **home.caches, PATH=f'{home.bin}:{os.environ["PATH"]}')
    if not (place / '.stestr').exists():
        # Tempest makes it to run tests, and fails without it to list them.
        subprocess.run([home.bin / 'stestr', 'init'], cwd=place,
                       env=environment, check=True)
    return subprocess.run(
        [home.bin / 'tempest', 'run', '--config-file',
         tempest.configuration(home, options.as_demo), '--concurrency',
         options.concurrency, '--regex', options.regex, *more],
        cwd=place, env=environment).returncode


def left_out(home: Home, place: pathlib.Path, as_demo: bool) -> pathlib.Path:
    """Return a file with the tests that this cloud is not made for."""
    tables = ['tempest-exclude.csv',
              *([] if second.present(home).exists()
                else ['tempest-hosts.csv']),
              *([] if as_demo else ['tempest-demo.csv'])]
    names = []
    for table in tables:
        path = home.source / 'contrib' / 'testing' / table
        with path.open(newline='') as lines:
            names += [name for name, _reason in csv.reader(lines)]
    found = place / 'etc' / 'left-out'
    found.write_text(''.join(f'^{re.escape(name)}\\b\n' for name in names))
    return found


def prepare(home: Home) -> pathlib.Path:
    """Have a workspace with a configuration of this cloud, as it is now."""
    place = tempest.workspace(home)
    for name in ('logs', 'locks', 'etc'):
        (place / name).mkdir(parents=True, exist_ok=True)
    found = common.in_cloud(home, 'lookup', {
        'image': contents.with_digest(recipes.paths(home)['ssh']),
        'sign': common.wanted(home, barbican.NAME).exists()})
    tempest.compress(recipes.paths(home)['ssh'], tempest.image_file(home))
    tempest.configure(home, json.loads(found))
    return place
