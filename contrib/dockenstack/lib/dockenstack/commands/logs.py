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

"""`logs`: show or follow the log of a service or of a stage."""

import os

from dockenstack.commands import base
from dockenstack.settings import Home

DESCRIPTION = """\
Show where the log of a service is, and its end. Stages of `up` have logs too,
named `up-STAGE`. Without a name: the names of all logs."""


def main(arguments: list[str]) -> int:
    parser = base.parser('logs', DESCRIPTION)
    parser.add_argument('service', nargs='?', metavar='SERVICE')
    parser.add_argument('-f', '--follow', action='store_true',
                        help='go on showing what is added')
    parser.add_argument('-n', '--lines', type=int, default=40,
                        help='how many lines to show (%(default)s)')
    options = parser.parse_args(arguments)
    home = Home.from_environment()
    names = sorted(path.stem for path in home.log.glob('*.log'))
    if options.service is None:
        print(*names, sep='\n')
        return 0
    path = home.log / f'{options.service}.log'
    if options.service not in names:
        parser.error(f'no log {path}; there are: {", ".join(names)}')
    print(f'==> {path}', flush=True)
    follow = ['--follow=name', '--retry'] if options.follow else []
    os.execvp('tail', ['tail', '-n', str(options.lines), *follow, str(path)])
