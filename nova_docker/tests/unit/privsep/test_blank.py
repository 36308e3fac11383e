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

"""What is taken for blank, and how much of it is read."""

from __future__ import annotations

from collections.abc import Collection
import pathlib

import fixtures

from nova_docker.privsep import blank
from nova_docker.tests import base


class BlankTestCase(base.TestCase):
    def test_it_is(self) -> None:
        self.assertTrue(self.is_blank())

    def test_it_is_not(self) -> None:
        self.assertFalse(self.is_blank((), 5000))

    def test_it_is_but_for_what_is_known(self) -> None:
        # In the second MiB, which is read by itself.
        place = (1 << 20) + 5000
        page = place // blank.PAGE
        self.assertTrue(self.is_blank({page}, place))
        self.assertFalse(self.is_blank({page - 1, page + 1}, place))
        self.assertFalse(self.is_blank({page}, place, place + blank.PAGE))

    def is_blank(self, but: Collection[int] = (), *places: int) -> bool:
        """Ask for a device with something at some places."""
        device = pathlib.Path(self.useFixture(fixtures.TempDir()).path,
                              'device')
        content = bytearray(2 << 20)
        for place in places:
            content[place] = 1
        device.write_bytes(content)
        return blank.is_blank(str(device), but)


class SamplesTestCase(base.TestCase):
    def test_a_small_one_is_read_whole(self) -> None:
        self.assertEqual([(0, 1 << 20)], list(blank._samples(1 << 20)))

    def test_of_a_large_one_both_ends_and_more(self) -> None:
        size = 10 << 40
        found = list(blank._samples(size))
        self.assertEqual([(0, 16 << 20), (size - (16 << 20), 16 << 20)],
                         found[:2])
        self.assertEqual(514, len(found))
        self.assertLess(sum(length for _start, length in found), 64 << 20)
        starts = [start for start, _length in found[2:]]
        self.assertLess(max(b - a for a, b in zip(
            starts, starts[1:], strict=False)), size // 500)
