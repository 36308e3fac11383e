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

"""Checkpoints: the memory of a container's processes, kept on disk.

The engine keeps them beside the container: they stay when it is renamed or
the host restarts, and go with it. Only an engine with its experimental
features on, and CRIU beside it, makes any.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import http

import tenacity

from nova_docker.engine import calls
from nova_docker.engine import failures
from nova_docker import errors

#: The only one that the driver makes of a container.
_NAME = 'nova'

#: On a busy host a control group may not freeze in time. And for a moment the
#: engine may still have what it made a checkpoint of, and refuse to take it
#: again (https://github.com/moby/moby/issues/42900).
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception(failures.may_pass),
    stop=tenacity.stop_after_attempt(7),
    wait=tenacity.wait_exponential(0.1), reraise=True)


class Checkpoints(calls.Calls):
    """The calls that have to do with checkpoints of containers."""

    #: Whether the engine makes any, once it was asked.
    _makes_any: bool | None = None

    @_patiently
    @failures.checked
    def checkpoint(self, name: str) -> None:
        """Write the memory of a running container to disk, and end it.

        After a failure it runs on as it was.
        """
        api = self._streams
        api._raise_for_status(api._post_json(
            api._url('/containers/{0}/checkpoints', name),
            data={'CheckpointID': _NAME, 'Exit': True}))

    def has_checkpoint(self, name: str) -> bool:
        """Whether the container can go on where it was written to disk.

        One that is gone can not, nor can any on an engine without them, which
        is not asked: it would log an error each time.
        """
        if self._makes_any is None:
            self._makes_any = self._is_experimental()
        if not self._makes_any:
            return False
        try:
            return _NAME in self._checkpoints(name)
        except errors.EngineNotFound:
            return False
        except errors.EngineError as error:
            if error.status == http.HTTPStatus.NOT_IMPLEMENTED:
                return False
            raise

    @failures.checked
    def _is_experimental(self) -> bool:
        return bool(self._calls.version().get('Experimental'))

    @failures.checked
    def _checkpoints(self, name: str) -> list[str]:
        api = self._calls
        answer = api._get(api._url('/containers/{0}/checkpoints', name))
        found = api._result(answer, json=True)
        return [each['Name'] for each in found or ()]

    @failures.checked
    def checkpoint_path(self, name: str) -> str:
        """Return the directory in which the engine keeps the checkpoint.

        https://github.com/moby/moby/blob/v28.2.2/daemon/checkpoint.go
        """
        api = self._calls
        return (f"{api.info()['DockerRootDir']}/containers/"
                f"{api.inspect_container(name)['Id']}/checkpoints/{_NAME}")

    @_patiently
    def start_from_checkpoint(self, name: str,
                              ended: Callable[[], object] = lambda: None
                              ) -> None:
        """Let a container go on where it was written to disk.

        The checkpoint stays.

        :param ended: called after each try that the engine has ended, be it
            with an error
        """
        try:
            self._start_from_checkpoint(name)
        except errors.EngineUnavailable:
            raise
        except errors.EngineError:
            ended()
            raise
        ended()

    @failures.checked
    def _start_from_checkpoint(self, name: str) -> None:
        api = self._streams
        api._raise_for_status(api._post(
            api._url('/containers/{0}/start', name),
            params={'checkpoint': _NAME}))

    def remove_checkpoint(self, name: str) -> None:
        """Remove the checkpoint; there may be none."""
        if self.has_checkpoint(name):
            with contextlib.suppress(errors.EngineNotFound):
                self._remove_checkpoint(name)

    @failures.checked
    def _remove_checkpoint(self, name: str) -> None:
        api = self._calls
        api._raise_for_status(api._delete(
            api._url('/containers/{0}/checkpoints/{1}', name, _NAME)))
