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

"""Whether a command says what a guide shows, though not on the same day.

A guide shows what was really printed. What differs from run to run differs
in a few kinds of words only: ids, addresses, times, and numbers that were
measured. Of ids and addresses is remembered what the guide's are here.
"""

from __future__ import annotations

from collections.abc import Iterable
import re

#: Who and where: the same word means the same one throughout a page.
_NAMES = (
    r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',         # an id
    r'\b[0-9a-f]{32,64}\b',                                 # a digest
    r'\b\d{1,3}(?:\.\d{1,3}){3}\b',                         # IPv4
    r'\b[0-9a-f]{2}(?::[0-9a-f]{2}){5,15}\b',               # MAC
    r'\b[0-9a-f]{1,4}(?::{1,2}[0-9a-f]{1,4}){3,7}\b',       # IPv6
)
#: How much and when.
_MEASURES = (
    r'\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?',
    r'\b\d+(?:\.\d+)+\b',
    r'\b\d{5,}\b',
    r'\b\d+(?= (?:milli)?seconds\b)',
    r'(?<=@if)\d+|(?<=/dev/loop)\d+',
)
_KINDS = (*_NAMES[:2], _MEASURES[0], *_NAMES[2:], *_MEASURES[1:])
_WORDS = re.compile('|'.join(f'({kind})' for kind in (*_KINDS, r'\.\.\.')))


class Likeness:
    """Compares what a page shows with what is printed here."""

    def __init__(self) -> None:
        #: The page's ids and addresses, with those that are here.
        self.here: dict[str, str] = {}

    def translate(self, text: str) -> str:
        """Return a command of the page with what is known of names here."""
        return _WORDS.sub(lambda word: self.here.get(word[0], word[0]), text)

    def covers(self, shown: Iterable[str], printed: str) -> bool:
        """Tell whether a page shows this; remember the names if it does.

        ``...`` stands for anything, and alone on a line for any lines.
        """
        groups: dict[str, str] = {}
        pattern = ''.join(self._line(line, groups) for line in _plain(shown))
        lines = ''.join(f'{line}\n' for line in _plain(printed.splitlines()))
        found = re.fullmatch(pattern, lines)
        if found:
            self.here.update({word: found[group]
                              for word, group in groups.items()})
        return bool(found)

    def _line(self, line: str, groups: dict[str, str]) -> str:
        if line == '...':
            return r'(?:.*\n)*?'
        pattern, end = '', 0
        for word in _WORDS.finditer(line):
            pattern += re.escape(line[end:word.start()])
            pattern += self._word(word, groups)
            end = word.end()
        return pattern + re.escape(line[end:]) + r'\n'

    def _word(self, word: re.Match[str], groups: dict[str, str]) -> str:
        if word[0] == '...':
            return '.*'
        kind = _KINDS[(word.lastindex or 1) - 1]
        if kind in _MEASURES:
            return f'(?:{kind})'
        if word[0] in self.here:
            return re.escape(self.here[word[0]])
        if word[0] in groups:
            return f'(?P={groups[word[0]]})'
        groups[word[0]] = f'name{len(groups)}'
        return f'(?P<{groups[word[0]]}>{kind})'


def _plain(lines: Iterable[str]) -> Iterable[str]:
    """Give lines without a table's frame and without width."""
    for line in lines:
        words = ' '.join(line.replace('|', ' ').split())
        if words and not re.fullmatch(r'[-+= ]+', words):
            yield words
