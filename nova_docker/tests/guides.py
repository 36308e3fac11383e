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

"""The guides' console blocks: what a reader types, and what comes of it.

A command begins with ``$`` or ``#``, goes on after a backslash at a line's
end and in lines that begin with ``>``, and is followed by what it prints. A
block that no test runs has a comment right before it, ``.. not run: REASON``.
What happens to the cloud before a block is in one, too: ``.. happens: WHAT``.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import pathlib
import re

import nova_docker

SOURCE = pathlib.Path(nova_docker.__file__).parents[1]
#: The pages whose blocks run, with the user in whose name they do.
SESSIONS: Mapping[str, str] = {
    'README.rst': 'demo',
    **dict.fromkeys((
        'doc/source/user/images.rst',
        'doc/source/user/signed-images.rst',
        'doc/source/user/servers.rst',
        'doc/source/user/networks.rst',
        'doc/source/user/console.rst',
        'doc/source/user/actions.rst',
        'doc/source/user/volumes.rst',
        'doc/source/user/shares.rst'), 'demo'),
    'doc/source/admin/index.rst': 'admin',
    'doc/source/admin/security.rst': 'admin',
    'doc/source/admin/operation.rst': 'admin',
    'doc/source/admin/troubleshooting.rst': 'admin',
}
#: The page whose blocks take a second compute host, in an operator's name.
HOSTS = 'doc/source/admin/hosts.rst'
#: The page whose blocks run on a machine of its own, and the manual page of
#: what checks that machine.
INSTALLATION = 'doc/source/admin/install.rst'
CHECK = 'doc/source/cli/nova-docker-status.rst'
#: The page whose block runs on an engine of the tests' own.
TESTING = 'doc/source/contributor/testing.rst'
#: The page whose blocks run with options that make them short.
BENCHMARKS = 'doc/source/contributor/benchmarks.rst'
#: All pages of which a test types what has no reason not to be.
TYPED = (*SESSIONS, HOSTS, INSTALLATION, CHECK, TESTING, BENCHMARKS)

_BLOCK = re.compile(r'(?P<indent> *)\.\. code-block:: console$')
_MARK = re.compile(r' *\.\. (?P<kind>not run|happens): (?P<what>\S.*)$')
_PROMPT = re.compile(r'[$#] ')
#: What is typed, and can't be what a command prints: an option at a line's
#: beginning, or a backslash at its end.
_TYPED = re.compile(r'\s*--[a-z]|.*\\$')


@dataclasses.dataclass(frozen=True)
class Command:
    """What a reader types at one prompt."""

    line: int
    text: str
    #: What it prints, as the guide has it; none if it does not tell.
    output: list[str]


@dataclasses.dataclass(frozen=True)
class Block:
    """A console block of a page."""

    page: str
    line: int
    #: Why no test runs it; empty if one does.
    reason: str
    #: What happens before it; mostly nothing.
    event: str
    lines: list[str]

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'

    def commands(self) -> Iterator[Command]:
        """Give its commands in their order."""
        typed: list[str] = []
        said: list[str] = []
        begun = 0
        for number, line in enumerate(self.lines, self.line):
            if _PROMPT.match(line):
                if typed:
                    yield Command(begun, '\n'.join(typed), said)
                begun, typed, said = number, [line[2:]], []
            elif not said and line.startswith('> '):
                typed.append(line[2:])
            elif not said and typed and typed[-1].endswith('\\'):
                typed.append(line)
            else:
                said.append(line)
        if typed:
            yield Command(begun, '\n'.join(typed), said)

    def torn(self) -> Iterator[int]:
        """Give the numbers of lines that a lost backslash makes output."""
        for command in self.commands():
            after = command.line + len(command.text.split('\n'))
            for number, line in enumerate(command.output, after):
                if _TYPED.match(line):
                    yield number


def pages() -> Iterator[str]:
    """Give the paths of all pages in the source tree."""
    yield from ('README.rst', 'CONTRIBUTING.rst', 'devstack/README.rst',
                'contrib/dockenstack/README.rst')
    for path in sorted((SOURCE / 'doc' / 'source').rglob('*.rst')):
        yield str(path.relative_to(SOURCE))


def blocks(page: str) -> Iterator[Block]:
    """Give the console blocks of a page in their order."""
    yield from parse(page, (SOURCE / page).read_text())


def typed(page: str) -> Iterator[Command]:
    """Give the commands of a page that a test types, in their order."""
    for block in blocks(page):
        if not block.reason:
            yield from block.commands()


def parse(page: str, text: str) -> Iterator[Block]:
    """Give the console blocks of a page's text in their order.

    A mark is that of the block right after it, and of no later one.
    """
    lines = text.splitlines()
    marks: dict[str, str] = {}
    number = 0
    while number < len(lines):
        if start := _BLOCK.match(lines[number]):
            body = list(_body(lines[number + 1:], len(start['indent'])))
            yield Block(page, number + 3, marks.get('not run', ''),
                        marks.get('happens', ''), body)
            marks = {}
            number += len(body)
        elif mark := _MARK.match(lines[number]):
            marks[mark['kind']] = mark['what']
        elif lines[number].strip():
            marks = {}
        number += 1


def marked(page: str) -> int:
    """Return how many marks a page has."""
    return sum(bool(_MARK.match(line))
               for line in (SOURCE / page).read_text().splitlines())


def _body(lines: list[str], indent: int) -> Iterator[str]:
    """Give the lines of a block, from its first that is not empty."""
    depth = 0
    for line in lines[1:]:
        if line.strip():
            depth = depth or len(line) - len(line.lstrip())
            if len(line) - len(line.lstrip()) <= indent:
                return
        yield line[depth:]


def prompts(page: str) -> Iterator[int]:
    """Give the numbers of a page's lines that look like typed commands."""
    lines = (SOURCE / page).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if re.match(r' +[$#] \S', line):
            yield number
