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

"""Servers that stand still, with all that they wrote on their volumes."""

from __future__ import annotations

from nova import exception
from nova import objects
from nova_docker.instances import quiesce
from nova_docker import names
from nova_docker.tests.functional.volumes import base
from nova_docker.volumes import propagate

_ASKS = objects.ImageMeta.from_dict(
    {'properties': {'os_require_quiesce': 'yes'}})
_DOES_NOT = objects.ImageMeta.from_dict({'properties': {}})


class QuiesceTestCase(base.VolumesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.quiesce = quiesce.Quiesce(self.engine, self.attached)
        self.server = self.start()
        self.volume = self.make_volume()
        self.attach(self.server, self.volume)

    def test_all_that_was_written_is_on_the_volume(self) -> None:
        text = b'this is precious to me'
        self.inside(self.server, 'sh', '-c',
                    f'echo {text.decode()} > /volumes/vdb/note')
        self.quiesce.begin(self.server, _ASKS)
        self.assertTrue(self.state(self.server)['Paused'])
        self.assertIn(text, self.volume.file.read_bytes())
        # As often as Nova likes.
        for _again in range(2):
            self.quiesce.end(self.server, _ASKS)
            self.assertEqual('running', self.state(self.server)['Status'])

    def test_who_does_not_ask_for_it(self) -> None:
        for act in self.quiesce.begin, self.quiesce.end:
            self.assertRaises(exception.InstanceQuiesceNotSupported, act,
                              self.server, _DOES_NOT)
        self.assertEqual('running', self.state(self.server)['Status'])

    def test_a_volume_that_takes_nothing_more(self) -> None:
        """Its server goes on, and nobody is told that all is well."""
        self.points.unmount(self.server.uuid, propagate.Kind.VOLUMES, 'vdb')
        error = self.assertRaises(exception.InstanceQuiesceFailed,
                                  self.quiesce.begin, self.server, _ASKS)
        self.assertIn('a volume can not be written to', str(error))
        self.assertEqual('running', self.state(self.server)['Status'])

    def test_one_that_does_not_run(self) -> None:
        self.engine.stop(names.workload(self.server.uuid), 0)
        self.assertRaises(exception.InstanceQuiesceFailed, self.quiesce.begin,
                          self.server, _ASKS)
