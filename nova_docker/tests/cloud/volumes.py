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

"""A volume as its owner sees it, and its file on this machine."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import pathlib
from typing import Any

from nova_docker.tests.cloud import clouds


class Volume:
    """What an owner does with a volume, and waits for.

    :param uuid: of a volume in the demo project
    """

    def __init__(self, uuid: str) -> None:
        self.id = uuid
        #: The ids by which the storage knows it, and knew it.
        self._names = [uuid]
        self._storage = clouds.connection('demo').block_storage

    def show(self) -> Any:
        return self._storage.get_volume(self.id)

    def wait_for(self, wanted: str) -> None:
        """Wait until it is in a state; errors can not be waited out."""
        def reached() -> bool:
            status = self.show().status
            if status.startswith('error'):
                raise AssertionError(f'volume {self.id}: {status}')
            return bool(status == wanted)
        clouds.wait_until(reached, f'volume {self.id} is {wanted}')

    def extend(self, size: int) -> None:
        """Make it larger, attached or not.

        :param size: in GiB
        """
        self._storage.extend_volume(self.id, size)
        clouds.wait_until(lambda: self.show().size == size,
                          f'volume {self.id} has {size} GiB')

    def set_readonly(self) -> None:
        self._storage.set_volume_readonly(self.id, readonly=True)

    def let_several_have_it(self) -> None:
        """Have an operator give it the type of such volumes; it stays."""
        storage = clouds.connection('admin').block_storage
        storage.retype_volume(self.id, 'multiattach')
        clouds.wait_until(lambda: bool(
            self.show().is_multiattach and self.show().status == 'available'),
            f'several servers can have volume {self.id}')

    def retype(self, name: str) -> None:
        """Have an operator give it another type, which moves it."""
        clouds.connection('admin').block_storage.retype_volume(
            self.id, name, migration_policy='on-demand')
        self._wait_until_moved(lambda shown: shown.volume_type == name)

    def host(self) -> str:
        """Return the pool of storage that it is in, by Cinder's name."""
        return str(self._as_operator().host)

    def migrate(self, host: str) -> None:
        """Have an operator move it to another pool."""
        clouds.connection('admin').block_storage.migrate_volume(
            self.id, host=host)
        self._wait_until_moved(lambda shown: shown.host == host)

    def _as_operator(self) -> Any:
        return clouds.connection('admin').block_storage.get_volume(self.id)

    def _wait_until_moved(self, arrived: Callable[[Any], bool]) -> None:
        def has_moved() -> bool:
            shown = self._as_operator()
            if shown.migration_status == 'error':
                raise AssertionError(f'volume {self.id} was not moved')
            return bool(shown.migration_status == 'success'
                        and shown.status == 'in-use' and arrived(shown))
        clouds.wait_until(has_moved, f'volume {self.id} has moved')
        self._names.append(self._as_operator().migration_id)

    def digest(self) -> str:
        """Return a hash of all its bytes, of which most are zeros."""
        with self._file().open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()

    def traces(self) -> list[str]:
        """Return the loop devices and the files that are there for it."""
        devices = [path.parent.parent.name for path in pathlib.Path(
            '/sys/block').glob('loop*/loop/backing_file')
            if self._backs(path)]
        return devices + [str(path) for name in self._names
                          for path in _state().glob(f'*/*{name}*')]

    def is_connected(self) -> bool:
        """Tell whether it is a device of this machine now."""
        return any(each.startswith('loop') for each in self.traces())

    def wait_until_disconnected(self) -> None:
        """Wait until it is not; the kernel may be the last to let go."""
        clouds.wait_until(lambda: not self.is_connected(),
                          f'volume {self.id} is no device any more')

    def _file(self) -> pathlib.Path:
        return _state() / 'volumes' / f'volume-{self._names[-1]}'

    def _backs(self, path: pathlib.Path) -> bool:
        try:
            return any(name in path.read_text() for name in self._names)
        except OSError:
            return False


def _state() -> pathlib.Path:
    return clouds.home() / 'data' / 'cinder-volume'
