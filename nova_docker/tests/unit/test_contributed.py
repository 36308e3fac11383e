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

"""What contrib/dockenstack and devstack say of themselves is so."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import subprocess
import sys

import ddt
from oslotest import base

import nova_docker

_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]
_DOCKENSTACK = _SOURCE / 'contrib' / 'dockenstack'
_DEVSTACK = _SOURCE / 'devstack'
#: What is typed, in a table's first column, and what it does.
_ROW = re.compile(r'^``(?:\. )?(?P<name>[a-z]+)(?P<arguments>.*?)`` +'
                  r'(?P<does>.*(?:\n {8}.*)*)', re.M)


def _text(path: pathlib.Path) -> str:
    return (path / 'README.rst').read_text()


@functools.cache
def _help(command: str) -> str:
    """Return what a command of dockenstack's says of itself."""
    return subprocess.run(
        [sys.executable, '-B', '-m', 'dockenstack', command, '--help'],
        check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, 'COLUMNS': '200',
             'PYTHONPATH': os.fspath(_DOCKENSTACK / 'lib')}).stdout


def _names(line: str) -> set[str]:
    return set(re.findall(r'(?<![\w-])--?[a-z][\w-]*', line))


def _options(command: str) -> list[set[str]]:
    """Return the names of each option of a command, but of its help."""
    return [_names(line.strip().split('  ')[0])
            for line in _help(command).splitlines()
            if re.match(' +-', line) and '--help' not in line]


@ddt.ddt
class DockenstackTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        commands, _state = re.findall(
            r'^=+  =+\n(.*?)^=+  =+$', _text(_DOCKENSTACK), re.M | re.S)
        self.rows = list(_ROW.finditer(commands))

    def test_it_tells_of_each_command_and_no_other(self) -> None:
        self.assertEqual(
            {each.name for each in _DOCKENSTACK.iterdir()
             if each.is_file() and not each.suffix},
            {row['name'] for row in self.rows})

    @ddt.data('up', 'down', 'logs', 'status')
    def test_it_tells_of_each_option_and_no_other(self, command: str) -> None:
        told = _names(' '.join(row['arguments'] for row in self.rows
                               if row['name'] == command))
        options = _options(command)
        self.assertEqual(set(), told - set().union(*options))
        self.assertEqual([], [each for each in options if not each & told])

    def test_it_names_all_that_can_be_added(self) -> None:
        [told] = [re.findall(r'``([\w-]+)``', row['does'])
                  for row in self.rows
                  if row['arguments'] == ' --with NAME,...']
        [known] = re.findall(r'--with NAME,\.\.\. .*: (.*)', _help('up'))
        self.assertEqual(known.split(', '), told)

    def test_each_stage_that_it_names_is_one(self) -> None:
        [told] = [re.findall(r'``([\w-]+)``', row['does'])
                  for row in self.rows
                  if row['arguments'] == ' --to STAGE']
        self.assertTrue(told)
        [known] = re.findall(r'--to STAGE .*: (.*)', _help('up'))
        self.assertEqual([], [each for each in told
                              if each not in known.split(', ')])

    def test_each_file_that_it_names_is_there(self) -> None:
        lib = _DOCKENSTACK / 'lib'
        paths = re.findall(r'``([\w/.-]+\.py|\w+/)``', _text(_DOCKENSTACK))
        self.assertIn('openstack/', paths)
        for path in paths:
            if 'local_settings' not in path:
                self.assertTrue(any(
                    (each / path).exists() for each in (
                        _DOCKENSTACK, lib / 'dockenstack')), path)


class DevStackTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.text = _text(_DEVSTACK)
        self.guide = (_SOURCE / 'doc' / 'source' / 'contributor'
                      / 'devstack.rst').read_text()

    def test_it_is_configured_as_the_guide_says(self) -> None:
        [block] = re.findall(r'code-block:: ini\n\n((?: .*\n|\n)+)',
                             self.text)
        self.assertIn('enable_plugin nova-docker ', block)
        self.assertIn(f'code-block:: ini\n\n{block}', self.guide)

    def test_the_images_that_it_names_are_the_guides(self) -> None:
        [told] = re.findall(r'images ``([\w-]+)``\s+and ``([\w-]+)``',
                            self.text)
        self.assertEqual(told, tuple(re.findall(
            r'uploaded as ``([\w-]+)`` and ``([\w-]+)``', self.guide)[0]))

    def test_each_file_that_it_names_is_there(self) -> None:
        paths = re.findall(r'``(settings|[\w/.-]+/[\w.-]+)``', self.text)
        self.assertEqual(2, len(paths))
        for path in paths:
            self.assertTrue((_DEVSTACK / path).exists()
                            or (_SOURCE / path).exists(), path)
