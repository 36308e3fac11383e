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

"""What the pages have and no test types is what programs take."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import fixtures
from oslotest import base

from nova_docker.cmd import image
from nova_docker.tests import guides

#: What can neither be typed nor asked for here: a page, how its commands
#: begin, and why.
_EXCEPTIONS = (
    ('README.rst', 'git clone <', "the address is the reader's to fill in"),
    ('doc/source/contributor/devstack.rst', '',
     'what was typed on machines that DevStack took for itself'),
)
#: A file of this repository, with what a program of it is given.
_NAMED = re.compile(
    r'``((?:nova-docker/)?(?:bench|contrib|devstack|doc|nova_docker)/[^`]+)``')


def _excepted(page: str, text: str) -> list[tuple[str, str, str]]:
    return [each for each in _EXCEPTIONS
            if each[0] == page and text.startswith(each[1])]


def _left() -> list[tuple[str, guides.Command]]:
    """Return the commands that no test types, with their pages."""
    return [(page, command) for page in guides.pages()
            for block in guides.blocks(page) if block.reason
            for command in block.commands()]


@functools.cache
def _typed() -> list[set[str]]:
    return [set(command.text.split()) for page in guides.TYPED
            for command in guides.typed(page)]


def _path(program: str) -> pathlib.Path:
    return guides.SOURCE / program.removeprefix('nova-docker/')


@functools.cache
def _help(program: pathlib.Path) -> set[str]:
    """Return the words by which a program of contrib tells what it takes.

    What it is started by wants to be root.
    """
    contrib = guides.SOURCE / 'contrib'
    module = ((contrib / 'testing',) if program == contrib / 'test'
              else ('-m', 'dockenstack', program.name))
    told = subprocess.run(
        [sys.executable, '-B', *module, '--help'], check=True,
        stdout=subprocess.PIPE, text=True, env={
            **os.environ, 'COLUMNS': '200',
            'PYTHONPATH': os.fspath(contrib / 'dockenstack' / 'lib')}).stdout
    return set(re.findall(r'[\w-]+', told))


class CommandsTestCase(base.BaseTestCase):
    def test_what_is_not_typed_is_understood(self) -> None:
        for page, command in _left():
            if not _excepted(page, command.text):
                words = shlex.split(command.text.replace('\\\n', ''))
                self._understood(words, f'{page}:{command.line}')

    def test_each_exception_is_of_something(self) -> None:
        found = [each for page, command in _left()
                 for each in _excepted(page, command.text)]
        self.assertEqual(set(_EXCEPTIONS), set(found))

    def test_what_the_text_names_is_there(self) -> None:
        for page in guides.pages():
            for named in _NAMED.findall((guides.SOURCE / page).read_text()):
                self._there(named.split(), page)

    def _understood(self, words: list[str], where: str) -> None:
        program, *arguments = words
        if any(typed.issuperset(words) for typed in _typed()):
            return
        if program == 'nova-docker-image':
            try:
                image._parser().parse_args(arguments)
            except SystemExit:
                self.fail(f'{where}: {words}')
        elif program == 'tox':
            subprocess.run(
                [sys.executable, '-m', 'tox', 'config', '-k', 'description',
                 '--workdir', self.useFixture(fixtures.TempDir()).path,
                 *arguments],
                cwd=guides.SOURCE, check=True, stdout=subprocess.PIPE)
        else:
            self._there(words, where)
            self.assertTrue(os.access(_path(program), os.X_OK), where)

    def _there(self, words: list[str], where: str) -> None:
        """A file is there, and takes what it is given."""
        path = _path(words[0])
        self.assertTrue(path.exists(), f'{where}: {path}')
        plain = {word for word in words[1:] if re.fullmatch('[a-z-]+', word)}
        if plain:
            self.assertEqual(set(), plain - _help(path), f'{where}: {path}')
