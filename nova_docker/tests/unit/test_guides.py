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

"""Every command in the guides is run by a test, or says why it is not."""

import ddt
from oslotest import base

from nova_docker.tests import alike
from nova_docker.tests import guides

#: The pages on which something happens that a reader does not do.
_EVENTFUL = (guides.HOSTS, 'doc/source/admin/index.rst')


class GuidesTestCase(base.BaseTestCase):
    def test_every_block_is_run_or_says_why_not(self) -> None:
        self.assertEqual([], [
            str(block) for page in guides.pages()
            for block in guides.blocks(page)
            if page not in guides.TYPED and not block.reason])

    def test_something_happens_only_where_a_test_makes_it(self) -> None:
        self.assertEqual([], [
            str(block) for page in guides.pages()
            for block in guides.blocks(page)
            if block.event and (page not in _EVENTFUL or block.reason)])

    def test_every_page_that_is_run_has_something_to_run(self) -> None:
        for page in guides.TYPED:
            self.assertTrue(list(guides.typed(page)), page)

    def test_commands_are_in_console_blocks(self) -> None:
        for page in guides.pages():
            known = {command.line for block in guides.blocks(page)
                     for command in block.commands()}
            self.assertEqual(known, set(guides.prompts(page)), page)

    def test_a_block_begins_with_a_command(self) -> None:
        for page in guides.pages():
            for block in guides.blocks(page):
                self.assertRegex(block.lines[0], '^[$#] ', str(block))

    def test_a_mark_is_right_before_a_block(self) -> None:
        for page in guides.pages():
            self.assertEqual(guides.marked(page), sum(
                bool(block.reason) + bool(block.event)
                for block in guides.blocks(page)), page)

    def test_no_part_of_a_command_passes_for_output(self) -> None:
        self.assertEqual([], [
            f'{page}:{line}' for page in guides.pages()
            for block in guides.blocks(page) for line in block.torn()])


_PAGE = """\
.. not run: it rains

.. code-block:: console

   $ first --of a \\
       --command
   {output}

{between}
.. code-block:: console

   $ second
"""


@ddt.ddt
class BlocksTestCase(base.BaseTestCase):
    """What is read out of a page."""

    def _read(self, output: str = 'done', between: str = '',
              ) -> list[guides.Block]:
        return list(guides.parse('page', _PAGE.format(
            output=output, between=between)))

    def test_a_mark_is_of_one_block(self) -> None:
        self.assertEqual(['it rains', ''],
                         [block.reason for block in self._read()])

    @ddt.data('Text.', '.. note:: Text.', '.. not run: it pours\n\nText.')
    def test_a_mark_ends_with_other_text(self, between: str) -> None:
        self.assertEqual(['it rains', ''], [
            block.reason for block in self._read(between=between)])

    def test_each_block_has_its_own_mark(self) -> None:
        self.assertEqual(['it rains', 'it pours'], [
            block.reason
            for block in self._read(between='.. not run: it pours\n')])

    def test_commands_and_output(self) -> None:
        [first], [second] = [list(block.commands())
                             for block in self._read()]
        self.assertEqual(
            (5, 'first --of a \\\n    --command', ['done', '', '']),
            (first.line, first.text, first.output))
        self.assertEqual('second', second.text)

    @ddt.data('\\', '--wait one', '    --wait one', 'first=1 \\')
    def test_a_torn_command(self, output: str) -> None:
        self.assertEqual([7], [line for block in self._read(output)
                               for line in block.torn()])

    @ddt.data('--- w1 ping statistics ---', '-----', '+-----+', '-N NAME',
              ' - Passed: 1', '...', '| \\ |', '<a --b>')
    def test_output(self, output: str) -> None:
        self.assertEqual([], [line for block in self._read(output)
                              for line in block.torn()])


class LikenessTestCase(base.BaseTestCase):
    """What is alike, and what is not."""

    def setUp(self) -> None:
        super().setUp()
        self.likeness = alike.Likeness()

    def covers(self, shown: str, printed: str) -> bool:
        return self.likeness.covers(shown.splitlines(), printed)

    def test_words(self) -> None:
        self.assertTrue(self.covers('ACTIVE', 'ACTIVE\n'))
        self.assertFalse(self.covers('ACTIVE', 'ERROR\n'))
        self.assertFalse(self.covers('ACTIVE', 'ACTIVE\nand more\n'))
        self.assertFalse(self.covers('1 GiB', '2 GiB'))

    def test_width_does_not_count(self) -> None:
        self.assertTrue(self.covers(
            '+------+\n| Name |\n+------+\n| w1   |\n+------+',
            '+--------+\n| Name   |\n+--------+\n| w1     |\n+--------+\n'))

    def test_what_was_measured(self) -> None:
        self.assertTrue(self.covers(
            '2026-11-21T10:12:13Z in 5004 ms, 61.2 MiB/s',
            '2027-01-02T03:04:05Z in 5004 ms, 7.25 MiB/s'))
        self.assertTrue(self.covers('after 5004 milliseconds',
                                    'after 5001 milliseconds'))
        self.assertTrue(self.covers('in 7 seconds', 'in 12 seconds'))

    def test_names_are_the_same_throughout(self) -> None:
        self.assertTrue(self.covers('eth0 10.0.0.5/24', 'eth0 10.0.0.9/24'))
        self.assertEqual('ping 10.0.0.9',
                         self.likeness.translate('ping 10.0.0.5'))
        self.assertTrue(self.covers('from 10.0.0.5', 'from 10.0.0.9'))
        self.assertFalse(self.covers('from 10.0.0.5', 'from 10.0.0.7'))
        self.assertFalse(self.covers('::1 to 10.1.1.1, 10.1.1.1',
                                     '::1 to 10.1.1.2, 10.1.1.3'))

    def test_what_is_not_alike_is_not_remembered(self) -> None:
        self.assertFalse(self.covers('10.0.0.5 ACTIVE', '10.0.0.9 BUILD'))
        self.assertEqual('10.0.0.5', self.likeness.translate('10.0.0.5'))

    def test_anything(self) -> None:
        self.assertTrue(self.covers('a ... z', 'a b c z'))
        self.assertTrue(self.covers('first\n...\nlast',
                                    'first\nb\nc\nlast\n'))
        self.assertFalse(self.covers('first\n...\nlast', 'first\nb\n'))
