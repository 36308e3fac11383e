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

"""The tables of Tempest's tests that are not run, and who shows them."""

import csv
import pathlib
import re

import ddt
from oslotest import base

import nova_docker

_SOURCE = pathlib.Path(nova_docker.__file__).parents[1]
_TESTING = _SOURCE / 'contrib' / 'testing'
_PAGE = _SOURCE / 'doc' / 'source' / 'contributor' / 'tempest.rst'
_TABLES = ('tempest-exclude.csv', 'tempest-hosts.csv', 'tempest-demo.csv',
           'tempest-skip.csv')


@ddt.ddt
class TablesTestCase(base.BaseTestCase):
    def _rows(self, table: str) -> list[list[str]]:
        with (_TESTING / table).open(newline='') as lines:
            return list(csv.reader(lines))

    @ddt.data(*_TABLES)
    def test_each_test_has_one_line_and_a_reason(self, table: str) -> None:
        rows = self._rows(table)
        names = [name for name, _reason in rows]
        self.assertEqual(sorted(set(names)), names)
        for name, reason in rows:
            self.assertRegex(name, r'^tempest\.(api\.compute|scenario)(\.\w+)+'
                                   r'\.test_\w+$')
            self.assertRegex(reason, r'^\S.*\S$')

    def test_no_reason_is_that_something_is_not_done(self) -> None:
        for _name, reason in self._rows('tempest-exclude.csv'):
            self.assertNotRegex(reason, r'\byet\b')

    @ddt.data(*_TABLES)
    def test_the_documentation_shows_it(self, table: str) -> None:
        shown = re.findall(r':file: (\S+)', _PAGE.read_text())
        self.assertIn(_TESTING / table,
                      [(_PAGE.parent / each).resolve() for each in shown])

    def test_no_test_is_in_two(self) -> None:
        names = [name for table in _TABLES
                 for name, _reason in self._rows(table)]
        self.assertEqual(len(set(names)), len(names))
