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

"""How containers are removed, and the files they have written with them."""

import contextlib

import tenacity

from nova_docker.engine import calls
from nova_docker.engine import failures
from nova_docker import errors

#: Seconds between two looks at a removal that is under way, at most.
_LOOK = 5

#: The engine may write of a container's end into the directory that it is
#: removing; then it can't, and can when it is asked again.
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception(failures.may_pass),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_exponential(0.1), reraise=True)


class Removal(calls.Calls):
    """What the driver asks of an engine to be rid of containers."""

    def remove(self, name: str) -> None:
        """Kill and remove a container; it may be gone already.

        The engine answers when every file that it has written is gone, and
        goes on when nobody waits for that any more. Whoever asks it again
        meanwhile gets a conflict, and nothing else that is forced does: so
        that is waited for, and as long.

        :raises EngineConflict: it is still under way
        """
        until_removed = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors.EngineConflict),
            stop=tenacity.stop_after_delay(self._stream_timeout),
            wait=tenacity.wait_exponential(0.1, max=_LOOK), reraise=True)
        with contextlib.suppress(errors.EngineNotFound):
            until_removed(self._remove, name)

    @_patiently
    @failures.checked
    def _remove(self, name: str) -> None:
        self._streams.remove_container(name, v=True, force=True)
