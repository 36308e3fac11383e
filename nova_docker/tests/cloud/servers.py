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

"""A server as its owner sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import volumes


class Server:
    """What an owner does with a server, and waits for.

    :param uuid: of a server in the demo project
    """

    def __init__(self, uuid: str) -> None:
        self.id = uuid
        self._compute = clouds.connection('demo').compute

    def show(self) -> Any:
        return self._compute.get_server(self.id)

    def wait_for(self, *wanted: str,
                 seconds: float = clouds.PATIENCE) -> Any:
        """Return the server once it is at rest in one of these states."""
        def reached() -> Any:
            seen = self.show()
            if seen.status == 'ERROR' and 'ERROR' not in wanted:
                raise AssertionError(f'ERROR: {seen.fault}')
            return seen if (seen.status in wanted
                            and not seen.task_state) else None
        return clouds.wait_until(
            reached, f'{self.id} is {" or ".join(wanted)}', seconds)

    def fault(self) -> str:
        """Return the sentence that tells why the server is in ERROR."""
        self.wait_for('ERROR')
        # Nova may write it down after the state.
        fault = clouds.wait_until(lambda: self.show().fault,
                                  f'{self.id} has a fault')
        return str(fault['message'])

    def addresses(self) -> list[str]:
        """Return its fixed addresses, in the order of its networks."""
        return [each['addr'] for network in self.show().addresses.values()
                for each in network if each['OS-EXT-IPS:type'] == 'fixed']

    def ports(self) -> list[Any]:
        network = clouds.connection('demo').network
        return list(network.ports(device_id=self.id))

    def console(self) -> str:
        output = self._compute.get_server_console_output(self.id)['output']
        return str(output).replace('\r\n', '\n')

    def wait_for_console(self, text: str) -> str:
        """Return the console log once it shows a text."""
        def said() -> str:
            everything = self.console()
            return everything if text in everything else ''
        return str(clouds.wait_until(
            said, f'"{text}" on the console of {self.id}'))

    def printed(self) -> str:
        """Return all that a server says whose command ends by itself."""
        self.wait_for('SHUTOFF')
        return self.console().strip()

    def start(self) -> None:
        self._compute.start_server(self.id)
        self.wait_for('ACTIVE')

    def stop(self) -> None:
        self._compute.stop_server(self.id)
        self.wait_for('SHUTOFF')

    def pause(self) -> None:
        self._compute.pause_server(self.id)
        self.wait_for('PAUSED')

    def unpause(self) -> None:
        self._compute.unpause_server(self.id)
        self.wait_for('ACTIVE')

    def suspend(self) -> None:
        self._compute.suspend_server(self.id)
        self.wait_for('SUSPENDED')

    def resume(self) -> None:
        self._compute.resume_server(self.id)
        self.wait_for('ACTIVE')

    def rescue(self, image: str | None = None) -> None:
        """Rescue it, with its own image or another one's id."""
        self._compute.rescue_server(self.id, image_ref=image)
        self.wait_for('RESCUE')

    def unrescue(self) -> None:
        self._compute.unrescue_server(self.id)
        self.wait_for('ACTIVE')

    def resize(self, flavor: str) -> None:
        """Resize it to a flavor, given by its id; not yet confirmed."""
        self._compute.resize_server(self.id, flavor)
        self.wait_for('VERIFY_RESIZE')

    def confirm(self) -> None:
        self._compute.confirm_server_resize(self.id)
        self.wait_for('ACTIVE', 'SHUTOFF')

    def revert(self) -> None:
        self._compute.revert_server_resize(self.id)
        self.wait_for('ACTIVE', 'SHUTOFF')

    def rebuild(self, image: str, **more: Any) -> None:
        """Rebuild it from an image, given by its id."""
        self._compute.rebuild_server(self.id, image=image, **more)
        self.wait_for('ACTIVE', 'SHUTOFF')

    def shelve(self) -> None:
        self._compute.shelve_server(self.id)
        self.wait_for('SHELVED_OFFLOADED')

    def shelve_here(self) -> None:
        """Shelve it in a cloud that leaves it on its host."""
        self._compute.shelve_server(self.id)
        self.wait_for('SHELVED')

    def offload(self) -> None:
        """Have an operator take a shelved server from its host."""
        clouds.connection('admin').compute.shelve_offload_server(self.id)
        self.wait_for('SHELVED_OFFLOADED')

    def unshelve(self) -> None:
        self._compute.unshelve_server(self.id)
        self.wait_for('ACTIVE')

    def attach(self, volume: volumes.Volume, wait: str = 'in-use',
               **more: Any) -> None:
        """Attach a volume.

        :param wait: the volume's state to wait for; none to return at once
        :param more: as the compute API has it
        """
        self._compute.create_volume_attachment(
            self.id, volume_id=volume.id, **more)
        if wait:
            volume.wait_for(wait)

    def detach(self, volume: volumes.Volume,
               wait: str = 'available') -> None:
        """Detach a volume, and wait for its state as :meth:`attach` does."""
        self._compute.delete_volume_attachment(self.id, volume.id)
        if wait:
            volume.wait_for(wait)
            # Nova forgets it after Cinder does, and until then neither takes
            # it back nor gives its device name to another.
            clouds.wait_until(lambda: volume.id not in self.volumes(),
                              f'{self.id} has lost volume {volume.id}')

    def volumes(self) -> list[str]:
        """Return the ids of the volumes that Nova has for it."""
        return [each.volume_id for each
                in self._compute.volume_attachments(self.id)]

    def soft_delete(self) -> None:
        """Delete it in a cloud that keeps servers for a while."""
        self._compute.delete_server(self.id)
        self.wait_for('SOFT_DELETED')

    def restore(self) -> None:
        self._compute.restore_server(self.id)
        self.wait_for('ACTIVE')

    def reboot(self, kind: str) -> None:
        """Reboot it; its status alone would not tell of a failure.

        :param kind: SOFT or HARD
        """
        before = {action.request_id for action in self.actions('reboot')}
        self._compute.reboot_server(self.id, kind)
        clouds.wait_until(
            lambda: self._ended('reboot', before), 'the reboot ended')
        self.wait_for('ACTIVE')

    def _ended(self, name: str, before: Iterable[str]) -> bool:
        new = [action for action in self.actions(name)
               if action.request_id not in before]
        return any(self.results(action) for action in new)

    def actions(self, name: str) -> list[Any]:
        """Return the actions of a name on this server, the latest first."""
        return [action for action in self._compute.server_actions(self.id)
                if action.action == name]

    def explanation(self, name: str) -> str:
        """Return why the latest action of a name failed, once it has.

        Operators read it, since 2.84 of the API; owners read the result.
        """
        action = self.actions(name)[0]

        def told() -> str:
            events = clouds.connection('admin').compute.get(
                f'/servers/{self.id}/os-instance-actions/{action.request_id}',
                microversion='2.84').json()['instanceAction']['events']
            return ' '.join(event['details'] for event in events
                            if event['result'] == 'Error')
        return str(clouds.wait_until(told, f'"{name}" on {self.id} fails'))

    def result(self, name: str) -> str:
        """Return how the latest action of a name ended, once it has."""
        def ended() -> str:
            return ', '.join(set(self.results(self.actions(name)[0])))
        return str(clouds.wait_until(ended, f'{name} of {self.id} ended'))

    def results(self, action: Any) -> list[str]:
        """Return how each ended event of an action ended."""
        return [event['result'] for event in self.events(action)
                if event['result']]

    def events(self, action: Any) -> list[dict[str, Any]]:
        """Return what an action consists of; the server may be gone."""
        detailed = self._compute.get_server_action(action.request_id, self.id)
        return detailed.events or []
