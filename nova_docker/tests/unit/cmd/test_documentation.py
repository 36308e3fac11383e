#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""What the guides and --help say of the commands is what these do."""

import argparse
import pathlib
import re
import shlex
from typing import Any

import ddt
from oslotest import base

import nova_docker
from nova_docker.cmd import image
from nova_docker.cmd import status

_GUIDES = pathlib.Path(nova_docker.__file__).parents[1] / 'doc' / 'source'
#: A command of nova-docker-image, over the end of a line too.
_COMMAND = re.compile(r'^ +(?:\$ )?nova-docker-image ((?:.*\\\n)*.*)', re.M)
_CHECK = re.compile(r'^ +(?:# )?sudo -u nova nova-docker-status (.*)', re.M)
_COMMANDS = (('nova-docker-image', image), ('nova-docker-status', status))


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a parser and of its commands."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= _options(command)
    return found


def _section(name: str, title: str) -> str:
    """Return what a command's manual page has below a title."""
    page = (_GUIDES / 'cli' / f'{name}.rst').read_text()
    [_before, section] = page.split(f'{title}\n{"-" * len(title)}\n')
    return re.split(r'\n---+\n', section)[0]


@ddt.ddt
class ManualPageTestCase(base.BaseTestCase):
    @ddt.data(*_COMMANDS)
    @ddt.unpack
    def test_it_has_each_option_and_no_other(self, name: str,
                                             command: Any) -> None:
        page = (_GUIDES / 'cli' / f'{name}.rst').read_text()
        told = {option for line in page.splitlines()
                if line.startswith('``-')
                for option in re.findall(r'``(-[\w-]+)', line)}
        self.assertEqual(_options(command._parser()), told)

    @ddt.data(*_COMMANDS)
    @ddt.unpack
    def test_the_synopsis_has_them_too(self, name: str,
                                       command: Any) -> None:
        told = set(re.findall(r'(?<![\w-])--?[a-z][\w-]*',
                              _section(name, 'Synopsis')))
        known = _options(command._parser())
        self.assertEqual(set(), told - known)
        # Of -q and --quiet one is enough.
        self.assertEqual(set(), known - told - {'-h', '--help', '--quiet'})

    def test_examples_of_the_status_command_are_understood(self) -> None:
        for text in (_section('nova-docker-status', 'Examples'),
                     status._DESCRIPTION):
            examples = _CHECK.findall(text)
            self.assertTrue(examples)
            for example in examples:
                status._parser().parse_args(shlex.split(example))


class StatusTestCase(base.BaseTestCase):
    def test_the_guide_tells_of_every_check(self) -> None:
        guide = (_GUIDES / 'admin' / 'install.rst').read_text()
        positions = [guide.find(f'   * - {name}\n')
                     for name, _check in status.Commands._upgrade_checks]
        self.assertEqual(sorted(positions), positions)
        self.assertNotIn(-1, positions)


class ImageTestCase(base.BaseTestCase):
    def test_examples_are_understood(self) -> None:
        """argparse ends the process over one that it does not know."""
        guide = (_GUIDES / 'user' / 'images.rst').read_text()
        for text in (guide, image._EPILOG):
            examples = _COMMAND.findall(text)
            self.assertGreaterEqual(len(examples), 4)
            for example in examples:
                arguments = shlex.split(example.replace('\\\n', ' '))
                if arguments[-1] != '--help':
                    image._parser().parse_args(arguments)
