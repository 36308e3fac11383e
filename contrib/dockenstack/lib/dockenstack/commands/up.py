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

"""`up`: bring the cloud up, or repair it."""

import argparse
import time

from dockenstack.commands import base
from dockenstack import contents
from dockenstack.host import second
from dockenstack.openstack import common
from dockenstack.openstack import extras
from dockenstack.plan import Plan
from dockenstack.service import Supervisor
from dockenstack.settings import Home
from dockenstack.stages import needed_for
from dockenstack.stages import Runner

DESCRIPTION = """\
Bring up a whole OpenStack on this machine, with Nova booting containers on
Docker Engine. It may be run again at any time: it repairs what died, and
installs the driver again if its source has changed."""


#: What --with knows.
CHOICE = (*extras.EXTRAS, second.NAME)


def _names(words: str) -> list[str]:
    names = words.split(',')
    for name in names:
        if name not in CHOICE:
            raise argparse.ArgumentTypeError(
                f"there is no '{name}', but {', '.join(CHOICE)}")
    return names


def main(arguments: list[str]) -> int:
    home = Home.from_environment()
    names = [stage.name for stage in Plan(home, Supervisor(home)).stages()]
    parser = base.parser('up', DESCRIPTION)
    parser.add_argument(
        '--to', metavar='STAGE', choices=names,
        help='stop after this stage, and run only what it needs: '
             + ', '.join(names))
    parser.add_argument(
        '--with-fake', action='store_true',
        help="also a compute host `fake` with Nova's fake driver, in an "
             'availability zone `fake`: what a benchmark compares with')
    parser.add_argument(
        '--with', metavar='NAME,...', dest='extras', type=_names,
        action='extend', default=[],
        help='also these, from now on: ' + ', '.join(CHOICE))
    parser.add_argument(
        '--without', choices=(second.NAME,),
        help='remove what --with added, and the servers that are on it')
    parser.add_argument(
        '--horizon', dest='extras', action='append_const', const='horizon',
        help='the same as --with horizon')
    options = parser.parse_args(arguments)
    base.require_root()
    begun = time.monotonic()
    with base.alone(home):
        home.make()
        for name in options.extras:
            common.wanted(home, name).set()
        if options.without:
            common.wanted(home, options.without).clear()
        plan = Plan(home, Supervisor(home), options.with_fake)
        stages = plan.stages()
        last = options.to or stages[-1].name
        succeeded = Runner(home, needed_for(stages, last)).run()
    print(f'{"Done" if succeeded else "Failed"} after '
          f'{time.monotonic() - begun:.0f} s')
    if plan.first:
        print(contents.table(plan.first), contents.next_steps(home), sep='\n')
    return 0 if succeeded else 1
