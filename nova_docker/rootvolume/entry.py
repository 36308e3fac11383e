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

"""The start of a workload, which enters its volume where that is its root."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import errno
import os
from typing import Any

from oslo_concurrency import lockutils

from nova_docker.engine import client
from nova_docker import errors
from nova_docker import names
from nova_docker.privsep import blocks
from nova_docker.privsep import pivot
from nova_docker.privsep import rootfiles
from nova_docker.rootvolume import gate
from nova_docker.rootvolume import layout
from nova_docker.volumes import records

#: What only the engine needs of what it mounts.
_LEFT = ('/sbin/docker-init',)
_MEND = 'Rescue the server, or attach the volume to another one, to mend it.'


class Entry:
    """Starts workloads.

    :param engine: where they run
    :param kept: knows which volume is a root disk
    """

    def __init__(self, engine: client.Engine, kept: records.Records) -> None:
        self._engine = engine
        self._records = kept

    def start(self, name: str) -> None:
        """Start a workload; a running one stays as it is.

        Nothing of a server runs before its volume is its root.

        :raises EngineBadRequest: it can't be; the workload does not run
        """
        container = self._engine.container(name)
        if layout.source(container) is None:
            self._engine.start(name)
            return
        with _exclusive(name):
            self._refuse_silent(container)
            self._refuse_other(container)
            self._engine.start(name)
            self._enter(name)

    def is_waiting(self, name: str) -> bool:
        """Tell whether a workload runs and has not entered its volume yet."""
        container = self._engine.container(name)
        pid = container['State']['Pid']
        return bool(pid and layout.source(container)
                    and pivot.is_waiting(pid, layout.PLACE))

    def complete(self, name: str, prepare: Callable[[], None]) -> bool:
        """Let a workload enter its volume whom nobody here has started.

        One that is just being started, or waits for nothing, stays as it is.

        :param prepare: brings what it needs before that
        :returns: whether it has waited
        :raises EngineBadRequest: it can't enter, and does not run any more;
            or its storage does not answer, and it goes on waiting
        """
        with (contextlib.suppress(lockutils.AcquireLockFailedException),
              _exclusive(name, blocking=False)):
            if self.is_waiting(name):
                prepare()
                self._refuse_silent(self._engine.container(name))
                self._enter(name)
                return True
        return False

    def _refuse_silent(self, container: client.Document) -> None:
        """Refuse a volume for which the engine, too, would wait for ever."""
        record = self._record(container)
        if record and record.path and not blocks.responds(record.path):
            raise errors.EngineBadRequest(
                f'the storage of its root volume {record.volume} does not '
                'answer.')

    def _refuse_other(self, container: client.Document) -> None:
        """Refuse what has changed since the container was created.

        The engine would follow a link that is in its place by now.
        """
        root = layout.source(container)
        assert root is not None
        with self._explained(container):
            state = rootfiles.state(os.path.dirname(root))
        if state != rootfiles.State.WHOLE:
            raise errors.EngineBadRequest(
                f'the {self._volume(container)} can not be used: it has no '
                f'root file system any more. {_MEND}')

    def _enter(self, name: str) -> None:
        container = self._engine.container(name)
        try:
            with self._explained(container):
                _pivot(container)
        except Exception:
            # Whatever it was: nothing may run beside its volume. Who was
            # started since waits.
            if self._pid(name) == container['State']['Pid']:
                self._engine.signal(name, 'SIGKILL')
            raise

    def _pid(self, name: str) -> int:
        """Return the main process of a workload; 0 if it does not run."""
        return int(self._engine.container(name)['State']['Pid'])

    @contextlib.contextmanager
    def _explained(self, container: client.Document) -> Iterator[None]:
        """Say of a failure which volume it is of."""
        try:
            yield
        except (ProcessLookupError, BrokenPipeError) as error:
            raise errors.EngineBadRequest(
                'the container has ended before its root volume was entered.'
            ) from error
        except (OSError, ValueError, pivot.Refusal) as error:
            raise errors.EngineBadRequest(
                self._sentence(container, error)) from error

    def _sentence(self, container: client.Document, error: Exception) -> str:
        volume = self._volume(container)
        program = layout.command(container)[0]
        if isinstance(error, pivot.Refusal) and (
                error.code, error.path) == (errno.ENOENT, program):
            return (f"the command '{program}' does not exist on the {volume} "
                    f'or is not executable. {_MEND}')
        if isinstance(error, pivot.Refusal) and error.code == errno.ETIMEDOUT:
            return (f"the command '{program}', or its working directory "
                    f"'{layout.workdir(container)}', is on storage that does "
                    'not answer.')
        # Of one that has no number, the words are all that it has.
        reason = getattr(error, 'strerror', None) or error
        return f'the {volume} can not be used: {reason}. {_MEND}'

    def _volume(self, container: client.Document) -> str:
        record = self._record(container)
        return f'root volume {record.volume}' if record else 'root volume'

    def _record(self, container: client.Document) -> records.Record | None:
        return self._records.root(container['Config']['Labels'][names.UUID])


def _pivot(container: client.Document) -> None:
    pid, root = container['State']['Pid'], layout.source(container)
    assert root is not None
    if not pid:
        raise ProcessLookupError(errno.ESRCH, 'the container has ended')
    pivot.enter(
        pid, root, layout.PLACE, _LEFT, gate.PIPE,
        layout.command(container)[0],
        layout.search_path(layout.environment(container)),
        layout.workdir(container))


def _exclusive(name: str, blocking: bool = True) -> Any:
    """Let one at a time start a workload."""
    return lockutils.lock(f'nova-docker-entry-{name}', blocking=blocking)
