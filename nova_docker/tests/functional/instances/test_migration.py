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

"""Real containers whose disks leave for another host, or come from one."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import pathlib
from typing import Any
from unittest import mock

import fixtures
from nova.image import glance
from nova.network import model

from nova import exception
from nova import objects
from nova_docker import errors
from nova_docker.instances import migration
from nova_docker.tests import base as tests
from nova_docker.tests.functional.instances import resizing
from nova_docker.volumes import propagate


class ElsewhereTestCase(resizing.ResizeTestCase):
    """A host that knows nothing of this one, but has the same Glance."""

    def setUp(self) -> None:
        super().setUp()
        #: What Glance has, by image.
        self.stored: dict[str, bytes] = {}
        self.glance.create.side_effect = [{'id': 'first'}, {'id': 'second'}]
        self.glance.update.side_effect = self.upload
        self.instance = self.started(tests.make_flavor(ephemeral_gb=1))
        self.addCleanup(self.local.discard, self.instance)

    def upload(self, _context: Any, image_id: str, _metadata: Any,
               data: Any) -> dict[str, Any]:
        self.stored[image_id] = b''.join(iter(data.read, b''))
        return {'size': len(self.stored[image_id])}

    def call(self, _context: Any, _version: int, method: str,
             args: Sequence[str]) -> list[bytes]:
        """Download as Glance's client does."""
        self.assertEqual('data', method)
        return [self.stored[args[0]]]

    def send(self) -> str:
        return self.begin(self.instance, self.instance.flavor,
                          resizing.ELSEWHERE)

    def receive(self, disk_info: str) -> None:
        self.glance.get.return_value = {
            'id': 'first', 'name': 'disk', 'status': 'active',
            'size': 1, 'properties': {}, 'disk_format': 'raw',
            'container_format': 'docker', 'min_disk': 0, 'min_ram': 0}
        client = self.useFixture(fixtures.MockPatchObject(
            glance, 'GlanceClientWrapper', autospec=True)).mock
        client.return_value.call.side_effect = self.call
        self.finish(self.instance, self.instance.flavor, disk_info)

    def write_to_ephemeral_disk(self) -> None:
        self.local.ensure(self.instance, resizing.EPHEMERAL)
        pathlib.Path(self.points.point(
            self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'),
            'file').write_text('precious')

    def ephemeral_content(self) -> str:
        self.local.ensure(self.instance)
        return pathlib.Path(self.points.point(
            self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'),
            'file').read_text()

    def test_away_and_confirmed(self) -> None:
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.assertFalse(self.state(self.instance)['Running'])
        self.assertIn(b'started', self.stored['first'])
        self.assertIn(b'precious', self.stored['second'])
        self.resize.confirm(self.instance, objects.Migration(
            source_compute='here', dest_compute='there'), model.NetworkInfo())
        self.assertRaises(errors.EngineNotFound, self.state, self.instance)
        self.assertEqual([], self.local.names(self.instance))
        self.assertTrue(migration.Migration.is_away(disk_info))

    def test_its_ports_leave_the_switch(self) -> None:
        port = model.VIF(id='port')
        self.begin(self.instance, self.instance.flavor, resizing.ELSEWHERE,
                   port)
        self.wires.unplug.assert_called_once_with(self.instance, port)

    def test_its_ports_do_not_leave_the_switch(self) -> None:
        """It goes nowhere, and runs."""
        self.wires.unplug.side_effect = OSError('the switch is gone')
        self.assertRaises(exception.InstanceFaultRollback, self.begin,
                          self.instance, self.instance.flavor,
                          resizing.ELSEWHERE, model.VIF(id='port'))
        self.glance.create.assert_not_called()
        self.assertTrue(self.state(self.instance)['Running'])

    def test_received(self) -> None:
        """Whatever certificates it trusts: nobody has signed what comes."""
        self.instance.trusted_certs = objects.TrustedCerts(ids=['c'])
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.local.discard(self.instance)
        self.receive(disk_info)
        self.assertEqual('first', self.build.call_args.args[2].id)
        self.assertEqual(
            hashlib.sha256(self.stored['first']).hexdigest(),
            self.build.call_args.args[5])
        self.assertEqual('precious', self.ephemeral_content())
        self.assertEqual(
            [mock.call(self.context, 'first'),
             mock.call(self.context, 'second')],
            self.glance.delete.call_args_list)

    def test_another_disk_is_received(self) -> None:
        """Somebody has come between."""
        self.write_to_ephemeral_disk()
        disk_info = self.send()
        self.local.discard(self.instance)
        self.stored['second'] = self.stored['second'].replace(
            b'precious', b'poisoned')
        error = self.assertRaises(exception.ImageUnacceptable, self.receive,
                                  disk_info)
        self.assertIn('not what the other compute host sent', str(error))
        self.build.assert_not_called()
        self.assertEqual([], self.local.names(self.instance))
        self.assertEqual(2, self.glance.delete.call_count)

    def test_away_and_reverted(self) -> None:
        self.write_to_ephemeral_disk()
        self.send()
        self.revert(self.instance)
        self.assertTrue(self.state(self.instance)['Running'])
        self.assertEqual('precious', self.ephemeral_content())

    def test_glance_fails(self) -> None:
        """At the first disk, or at the second."""
        self.write_to_ephemeral_disk()
        gone = exception.GlanceConnectionFailed(server='glance',
                                                reason='gone')

        def fail_later(*given: Any, **named: Any) -> dict[str, Any]:
            if given[1] == 'second':
                raise gone
            return self.upload(*given, **named)

        for fault, made in ((gone, ['first']),
                            (fail_later, ['first', 'second'])):
            self.glance.create.side_effect = [{'id': 'first'},
                                              {'id': 'second'}]
            self.glance.delete.reset_mock()
            self.glance.update.side_effect = fault
            self.assertRaises(exception.InstanceFaultRollback, self.send)
            self.assertTrue(self.state(self.instance)['Running'])
            self.assertTrue(self.points.is_mounted(
                self.instance.uuid, propagate.Kind.VOLUMES, 'ephemeral0'))
            self.assertEqual('precious', self.ephemeral_content())
            self.assertEqual(made, sorted(
                call.args[1] for call in self.glance.delete.call_args_list))
