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

"""What a console's line joins and keeps."""

from __future__ import annotations

import ddt

from nova_docker.console import line
from nova_docker.tests import base


@ddt.ddt
class WithoutTestCase(base.TestCase):
    @ddt.data(
        # What was written, and what of the log came before it.
        (b'', b'one\ntwo\n'),
        (b'three\n', b'one\ntwo\n'),
        (b'two\n', b'one\n'),
        (b'two\nthree\n# ', b'one\n'),
        (b'one\ntwo\n', b''),
        (b'one\ntwo\n# ', b''),
        (b'one\n', b''),
        (b'tw', b'one\n'))
    @ddt.unpack
    def test_what_came_before(self, written: bytes, before: bytes) -> None:
        self.assertEqual(before, line.without(b'one\ntwo\n', written))

    def test_of_an_empty_log(self) -> None:
        self.assertEqual(b'', line.without(b'', b'# '))


class AgainTestCase(base.TestCase):
    def test_questions_are_left_out(self) -> None:
        self.assertEqual(b'a\x1b[1mb', line.again(
            b'a\x1b[6n\x1b[c\x1b[>0c\x1b[?15n\x1b[1mb'))

    def test_half_a_line_is_left_out(self) -> None:
        full = b'x' * (line.SCREEN - 5) + b'\nend\n'
        self.assertEqual(b'end\n', line.again(full))
        self.assertEqual(full[1:], line.again(full[1:]))

    def test_half_of_a_line_without_end_is_better_than_nothing(self) -> None:
        self.assertEqual(b'x' * line.SCREEN, line.again(b'x' * line.SCREEN))
