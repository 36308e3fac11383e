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

"""Only what never ran, and what Nova has given up, is removed."""

import threading
from typing import Any
from unittest import mock
import uuid

from nova.compute import vm_states

from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import destroy
from nova_docker.instances import orphans
from nova_docker import names
from nova_docker.network import leftovers
from nova_docker.tests import base


def _container(instance_uuid: str, role: names.Role,
               state: str) -> dict[str, Any]:
    return {'Labels': {names.UUID: instance_uuid, names.ROLE: role.value},
            'State': state}


class OrphansTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.uuid = str(uuid.uuid4())
        self.engine = mock.create_autospec(client.Engine, instance=True)
        self.remove = mock.create_autospec(destroy.Destroy, instance=True)
        self.links = mock.create_autospec(leftovers.Leftovers, instance=True)
        self.links.owners.return_value = set()
        self.orphans = orphans.Orphans(self.engine, self.links, self.remove)
        self.known: dict[str, objects.Instance] = {}
        patch = mock.patch.object(objects.Instance, 'get_by_uuid',
                                  autospec=True, side_effect=self._get)
        patch.start()
        self.addCleanup(patch.stop)

    def _get(self, context: Any, instance_uuid: str) -> objects.Instance:
        self.assertEqual('yes', context.read_deleted)
        try:
            return self.known[instance_uuid]
        except KeyError:
            raise exception.InstanceNotFound(
                instance_id=instance_uuid) from None

    def _know(self, **fields: Any) -> objects.Instance:
        instance = base.make_instance(uuid=self.uuid, **{
            'vm_state': vm_states.ERROR, 'host': None, 'deleted': False,
            **fields})
        self.known[self.uuid] = instance
        return instance

    def _present(self, workload: str | None) -> None:
        states = {names.Role.SANDBOX: 'exited', names.Role.WORKLOAD: workload}
        self.engine.containers.return_value = [
            _container(self.uuid, role, state)
            for role, state in states.items() if state]

    def _is_removed(self) -> bool:
        self.remove.reset_mock()
        self.orphans.clean()
        return bool(self.remove.called)

    def test_what_its_boot_has_left_is_removed(self) -> None:
        instance = self._know()
        for workload in (None, 'created'):
            self._present(workload)
            self.assertTrue(self._is_removed())
            [call] = self.remove.call_args_list
            self.assertIs(instance, call.args[0])

    def test_what_was_deleted_meanwhile_is_removed(self) -> None:
        self._know(deleted=True, host='somewhere')
        self._present('created')
        self.assertTrue(self._is_removed())

    def test_what_is_just_being_deleted_is_removed(self) -> None:
        """Nova's API has saved the state, and not yet deleted the row."""
        self._know(vm_state=vm_states.DELETED)
        self._present('created')
        self.assertTrue(self._is_removed())

    def test_what_ever_ran_stays(self) -> None:
        self._know(deleted=True)
        for workload in ('running', 'exited', 'paused', 'dead'):
            self._present(workload)
            self.assertFalse(self._is_removed())

    def test_what_is_under_way_stays(self) -> None:
        self._know(vm_state=vm_states.BUILDING, host='here')
        self._present('created')
        self.assertFalse(self._is_removed())

    def test_what_another_cloud_has_stays(self) -> None:
        self._present('created')
        self.assertFalse(self._is_removed())

    def test_what_has_but_a_link_is_removed_with_it(self) -> None:
        self._know()
        self.engine.containers.return_value = []
        self.links.owners.return_value = {self.uuid}
        self.assertTrue(self._is_removed())
        self.links.remove.assert_called_once_with(self.uuid)

    def test_a_link_of_what_runs_stays(self) -> None:
        self._know(deleted=True)
        self._present('running')
        self.links.owners.return_value = {self.uuid}
        self.assertFalse(self._is_removed())
        self.assertFalse(self.links.remove.called)

    def test_a_link_of_what_is_under_way_or_unknown_stays(self) -> None:
        self.engine.containers.return_value = []
        self.links.owners.return_value = {self.uuid}
        self.assertFalse(self._is_removed())
        self._know(vm_state=vm_states.BUILDING, host='here')
        self.assertFalse(self._is_removed())

    def test_a_kernel_that_does_not_tell_of_links_is_no_obstacle(self) -> None:
        self._know()
        self._present('created')
        self.links.owners.side_effect = OSError('no')
        self.assertTrue(self._is_removed())

    def test_a_failure_is_for_the_next_time(self) -> None:
        self._know()
        self._present('created')
        self.remove.side_effect = errors.EngineUnavailable('gone again')
        self.orphans.lost('no word')
        self.assertTrue(self._is_removed())

    def _many(self, number: int) -> None:
        """Let that many boots have failed."""
        uuids = [str(uuid.uuid4()) for _number in range(number)]
        self.engine.containers.return_value = [
            _container(each, names.Role.SANDBOX, 'exited') for each in uuids]
        for self.uuid in uuids:
            self._know()

    def _hold(self) -> threading.Event:
        """Let each removal last until an event, which is returned."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.remove.side_effect = lambda *_: go_on.wait(base.PATIENCE)
        return go_on

    def _await_removals(self, number: int) -> None:
        base.wait_until(lambda: self.remove.call_count >= number,
                        'the removals have begun')

    def test_nobody_waits_for_a_removal(self) -> None:
        """Whoever calls it reads the engine's events."""
        self._many(2)
        go_on = self._hold()
        for _time in range(3):
            self.orphans.found()
        self._await_removals(1)
        self.assertEqual(1, self.remove.call_count)
        go_on.set()
        self._await_removals(2)

    def test_it_is_done_again_the_next_time(self) -> None:
        self._many(1)
        for number in (1, 2):
            base.wait_until(
                lambda: not [each for each in threading.enumerate()
                             if each.name == 'docker-orphans'], 'it has ended')
            self.orphans.found()
            self._await_removals(number)

    def test_it_ends_before_the_next_removal(self) -> None:
        self._many(9)
        go_on = self._hold()
        self.orphans.found()
        self._await_removals(1)
        self.patch(orphans, '_PATIENCE', 0)
        self.orphans.stop()
        go_on.set()
        self.patch(orphans, '_PATIENCE', base.PATIENCE)
        self.orphans.stop()
        self.assertEqual(1, self.remove.call_count)

    def test_an_engine_that_is_away_again_is_no_end(self) -> None:
        self.engine.containers.side_effect = errors.EngineUnavailable('no')
        with self.assertLogs(orphans.__name__, 'WARNING'):
            self.orphans.found()
            self.orphans.stop()
