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

"""What the stages came to: counts, failures, unexplained skips, the table."""

from collections.abc import Iterable
import csv
import dataclasses
import pathlib
import re


@dataclasses.dataclass
class Outcome:
    """The result of one stage."""

    passed: int = 0
    #: What failed, each by its name.
    failed: list[str] = dataclasses.field(default_factory=list)
    skipped: int = 0
    #: What the stage has to say besides, a line each.
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.failed and self.passed > 0

    def add(self, more: 'Outcome') -> None:
        """Count what more of the stage came to; it took its time already."""
        self.passed += more.passed
        self.failed += more.failed
        self.skipped += more.skipped
        self.notes += [each for each in more.notes if each not in self.notes]


class Patterns:
    """A file of regular expressions for tests' names, each with its reason.

    A line is an expression, some space, and the reason. Empty lines and lines
    that begin with # say nothing.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._patterns = [
            _pattern(line, path) for line in path.read_text().splitlines()
            if line.strip() and not line.startswith('#')]

    def cover(self, test: str) -> bool:
        return any(re.fullmatch(each, test) for each in self._patterns)

    def joined(self) -> str:
        """One expression for all of them."""
        return '|'.join(self._patterns)


def _pattern(line: str, path: pathlib.Path) -> str:
    pattern, _, reason = line.partition(' ')
    if not reason.strip():
        raise ValueError(f'{path}: no reason is given for {pattern}')
    re.compile(pattern)
    return pattern


class Names:
    """A table of tests by their names in full, each with its reason.

    It has a line for each, a comma between the two, and no heading, so that
    the documentation shows it as it is.
    """

    def __init__(self, path: pathlib.Path) -> None:
        with path.open(newline='') as table:
            rows = list(csv.reader(table))
        for row in rows:
            if len(row) != 2 or not row[1].strip():
                raise ValueError(f'{path}: no reason is given for {row[0]}')
        self.names = [name for name, _reason in rows]

    def cover(self, test: str) -> bool:
        return _plain(test) in self.names

    def joined(self, start: str = '') -> str:
        """One expression that finds them, and none that only begins so.

        :param start: an expression that those begin with which are meant
        """
        names = '|'.join(re.escape(each) for each in self.names
                         if re.match(start, each))
        return rf'^({names})(\[|$)'

    def strangers(self, known: Iterable[str]) -> list[str]:
        """Return what is listed here, and is no test that is known."""
        return sorted(set(self.names).difference(map(_plain, known)))


def _plain(test: str) -> str:
    """A test's name without the tags that Tempest appends."""
    return test.partition('[')[0]


def of_tests(tests: Iterable[dict[str, str]],
             explanations: Patterns | Names,
             listed: Iterable[str] = ()) -> Outcome:
    """Count tests, as subunit_json.py tells them.

    A skip that nothing explains is a failure, and so is a test that began
    and never ended, or was listed and never began.
    """
    outcome = Outcome()
    lost = set(listed)
    for test in tests:
        lost.discard(test['id'])
        name, status = test['id'], test['status']
        if status in ('success', 'xfail'):
            outcome.passed += 1
        elif status == 'skip' and explanations.cover(name):
            outcome.skipped += 1
        elif status == 'skip':
            outcome.failed.append(
                f'{name} (skipped, and not explained: {test["reason"]})')
        else:
            outcome.failed.append(f'{name} ({status})')
    outcome.failed += [f'{each} (listed, and not run)'
                       for each in sorted(lost)]
    if not (outcome.passed or outcome.failed):
        outcome.failed.append('no test ran')
    return outcome


def table(outcomes: dict[str, Outcome], seconds: float) -> str:
    """The stages' times and counts, and the sum alone on the last line.

    :param seconds: what all took; stages that ran side by side took less
        than the sum of their times.
    """
    lines = [f'{"stage":<14}{"seconds":>9}{"passed":>9}{"failed":>9}'
             f'{"skipped":>9}']
    lines += [f'{name:<14}{each.seconds:>9.1f}{each.passed:>9}'
              f'{len(each.failed):>9}{each.skipped:>9}'
              for name, each in outcomes.items()]
    passed = sum(each.passed for each in outcomes.values())
    failed = sum(len(each.failed) for each in outcomes.values())
    skipped = sum(each.skipped for each in outcomes.values())
    lines += [f'{"all":<14}{seconds:>9.1f}', '',
              f'{passed} passed, {failed} failed, {skipped} skipped']
    return '\n'.join(lines)
