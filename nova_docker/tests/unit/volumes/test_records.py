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

"""What is known of the volumes of a host."""

import pathlib
import threading

import fixtures
from oslotest import base

from nova_docker.volumes import records

#: At some of them a directory goes while it is looked at.
_LOOKS = 1000


class RecordsTestCase(base.BaseTestCase):
    def test_one_that_is_removed_meanwhile(self) -> None:
        """Its name is there, and then its file is not."""
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        kept = records.Records(str(root))
        mine = kept.save(records.Record('server', 'volume', 'vdb', 'vdb', {}))
        (root / 'server/other.json').symlink_to('nowhere')
        self.assertEqual([mine], kept.all())
        self.assertEqual([mine], kept.of_instance('server'))

    def test_a_server_that_is_removed_meanwhile(self) -> None:
        """Its directory is there, and then it is not."""
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        kept = records.Records(str(root))
        mine = kept.save(records.Record('server', 'volume', 'vdb', 'vdb', {}))
        seen = [root / f'other{number}' for number in range(8)]
        over = threading.Event()

        def come_and_go() -> None:
            while not over.is_set():
                for each in seen:
                    each.mkdir()
                for each in seen:
                    each.rmdir()

        other = threading.Thread(target=come_and_go)
        other.start()
        try:
            for _look in range(_LOOKS):
                self.assertEqual([mine], kept.all())
        finally:
            over.set()
            other.join()
