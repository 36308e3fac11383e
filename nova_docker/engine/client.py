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

"""The engine's REST API, as the few calls that this driver makes.

One client of the Docker SDK serves all threads.
Calls are short and have a timeout; streams have another.
"""

import base64
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import json
from typing import TypeAlias

import docker
import tenacity

from nova_docker.engine import calls
from nova_docker.engine import checkpoints
from nova_docker.engine import failures
from nova_docker.engine import images
from nova_docker.engine import removal
from nova_docker.engine import streams
from nova_docker.engine import volumes
from nova_docker import errors

Document: TypeAlias = calls.Document

CHUNK = calls.CHUNK
#: Connections kept open to the engine: one for each spawn that runs.
POOL_SIZE = 32

#: In the engine's modes, which are Go's: everything but a regular file.
_NOT_REGULAR = 0x8f280000
_DIRECTORY = 0x80000000
#: What no one types, since it is in no UTF-8 text: by default Control-P and
#: Control-Q would detach, and the first be held back until the next key.
_DETACH_KEYS = b','.join([b'\xff'] * 8)


#: On a busy host the kernel may need longer to freeze a control group of
#: version 1 than the OCI runtime waits; it then thaws what it has frozen.
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception(failures.may_pass),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_exponential(0.1), reraise=True)


@dataclasses.dataclass(frozen=True)
class FileStat:
    """A file of a container.

    :param mode: its type and permissions as Go's os.FileMode has them
    :param size: in bytes
    :param link_target: where a symbolic link leads in the end; else empty
    """

    mode: int
    size: int
    link_target: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return not self.mode & _NOT_REGULAR

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return bool(self.mode & _DIRECTORY)


class Engine(checkpoints.Checkpoints, images.Images, removal.Removal,
             volumes.Volumes):
    """A Docker Engine reached over its unix socket.

    Nothing is contacted before the first call. Every method raises the
    :class:`nova_docker.errors.EngineError` family and nothing else of the
    SDK's.

    :param url: ``unix:///path`` of the engine's socket
    :param timeout: seconds that a short call may take
    :param stream_timeout: seconds without a byte before a stream is given up
    """

    def __init__(self, url: str, timeout: int = 60,
                 stream_timeout: int = 600) -> None:
        self.url = url
        self._timeout = timeout
        self._stream_timeout = stream_timeout
        self._clients: dict[int, docker.APIClient] = {}

    def _client(self, timeout: int) -> docker.APIClient:
        # No lock: making one asks the engine for its version, and none may
        # wait behind another for an engine that hangs.
        found = self._clients.get(timeout)
        return found or self._clients.setdefault(timeout, docker.APIClient(
            base_url=self.url, version='auto', timeout=timeout,
            max_pool_size=POOL_SIZE))

    def renegotiate(self) -> None:
        """Ask what it is again: the engine may have been replaced.

        An old one does not know the API of a new one, and a new one may
        refuse the API of an old one.
        """
        self._clients = {}
        self._makes_any = None

    @property
    def _calls(self) -> docker.APIClient:
        return self._client(self._timeout)

    @property
    def _streams(self) -> docker.APIClient:
        return self._client(self._stream_timeout)

    # The engine

    @failures.checked
    def info(self) -> Document:
        """Return the engine's facts (``GET /info``)."""
        return self._calls.info()

    @failures.checked
    def version(self) -> Document:
        """Return the engine's versions (``GET /version``)."""
        return self._calls.version()

    def events(self, since: float,
               filters: Mapping[str, Sequence[str]]) -> streams.EventStream:
        """Open the event stream.

        :param since: seconds since the epoch; later events that the engine
            still remembers are told first
        :param filters: as the engine's API has them
        """
        with failures.classified():
            client = self._calls
            answer = client._get(
                client._url('/events'), stream=True, timeout=self._timeout,
                params={'since': f'{since:.6f}',
                        'filters': json.dumps(filters)})
            client._raise_for_status(answer)
            return streams.EventStream(answer)

    # Containers

    @failures.checked
    def containers(self, labels: Sequence[str]) -> list[Document]:
        """List containers in any state that carry all the labels.

        :param labels: ``name`` or ``name=value``
        """
        return self._calls.containers(
            all=True, filters={'label': list(labels)})

    @failures.checked
    def container(self, name: str) -> Document:
        """Inspect a container; EngineNotFound when there is none."""
        return self._calls.inspect_container(
            name)

    @failures.checked
    def create(self, name: str, config: Document) -> str:
        """Create a container and return its id.

        :param config: the body of ``POST /containers/create``
        """
        return str(self._calls.create_container_from_config(
            config, name)['Id'])

    @failures.checked
    def start(self, name: str) -> None:
        """Start a container; a running one stays as it is."""
        self._calls.start(name)

    @failures.checked
    def stop(self, name: str, timeout: int) -> None:
        """Send the stop signal; kill after ``timeout`` seconds."""
        # The answer comes when the container has ended, so the wait for it
        # is the call's own timeout on top.
        url = self._calls._url('/containers/{0}/stop', name)
        answer = self._calls._post(url, params={'t': timeout},
                                   timeout=timeout + self._timeout)
        self._calls._raise_for_status(answer)

    def count_processes(self, name: str) -> int:
        """Say how many processes a container has; 0 if it has ended."""
        with contextlib.suppress(errors.EngineConflict):
            return self._count_processes(name)
        return 0

    @failures.checked
    def _count_processes(self, name: str) -> int:
        return len(self._calls.top(name)['Processes'])

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to the main process; nothing if it has ended."""
        with contextlib.suppress(errors.EngineConflict):
            self._kill(name, signal)

    @failures.checked
    def _kill(self, name: str, signal: str) -> None:
        self._calls.kill(name, signal)

    @_patiently
    @failures.checked
    def pause(self, name: str) -> None:
        """Freeze every process of a container."""
        self._calls.pause(name)

    @failures.checked
    def unpause(self, name: str) -> None:
        """Thaw a frozen container."""
        self._calls.unpause(name)

    @failures.checked
    def run(self, name: str, command: Sequence[str],
            entered: bytes = b'') -> tuple[int, bytes]:
        """Run a command as root in a running container, until it ends.

        :param command: program and arguments
        :param entered: its standard input
        :returns: its exit code, and what it wrote
        :raises EngineError: it runs as long as no short call may, or writes
            too much
        """
        calls = self._calls
        command_id = calls.exec_create(name, list(command), stdin=True,
                                       user='0:0')['Id']
        # The SDK's own call gives a socket, which has lost what came in one
        # piece with the engine's answer.
        answer = calls._post_json(
            calls._url('/exec/{0}/start', command_id),
            data={'Tty': False, 'Detach': False}, stream=True,
            headers={'Connection': 'Upgrade', 'Upgrade': 'tcp'})
        calls._raise_for_status(answer)
        output = streams.exchange(answer, entered, self._timeout)
        return int(calls.exec_inspect(command_id)['ExitCode']), output

    @failures.checked
    def rename(self, name: str, new_name: str) -> None:
        """Give a container another name.

        :raises EngineConflict: if another container has it
        """
        self._calls.rename(name, new_name)

    @failures.checked
    def update(self, name: str, limits: Document) -> None:
        """Change the limits of a container, which may be running.

        :param limits: fields of ``HostConfig``
        """
        url = self._calls._url('/containers/{0}/update', name)
        self._calls._raise_for_status(
            self._calls._post_json(url, data=limits))

    @failures.checked
    def stats(self, name: str) -> Document:
        """Return one sample of a container's resource use."""
        return self._calls.stats(
            name, stream=False, one_shot=True)

    def log_tail(self, name: str, lines: int,
                 since: float = 0) -> Iterator[bytes]:
        """Yield the last lines that the main process wrote.

        :param lines: how many; a line has no bound
        :param since: seconds since the epoch; what is older is left out
        """
        with failures.classified():
            client = self._calls
            has_terminal = client.inspect_container(name)['Config']['Tty']
            answer = client._get(
                client._url('/containers/{0}/logs', name), stream=True,
                params={'stdout': 1, 'stderr': 1, 'tail': lines,
                        'since': f'{since:.6f}'})
            client._raise_for_status(answer)
            # The SDK's own call reads a terminal's log byte by byte.
            pieces = answer.iter_content(CHUNK)
            yield from pieces if has_terminal else streams.payload(pieces)

    @failures.checked
    def attach(self, name: str) -> streams.Attachment:
        """Attach to a container's stdin, stdout and stderr.

        One that does not run is waited for: nothing of its next run is
        missed. After the end of a run this waits until the engine is through
        with it, since the streams of the next one are not there before. One
        that is being started is attached to once it runs, and may have
        written already.

        :raises EngineConflict: while it is paused
        """
        client = self._calls
        number = client.inspect_container(name)['Id']
        answer = client._post(
            client._url('/containers/{0}/attach', number), stream=True,
            params={'stream': 1, 'stdin': 1, 'stdout': 1, 'stderr': 1,
                    'detachKeys': _DETACH_KEYS},
            headers={'Connection': 'Upgrade', 'Upgrade': 'tcp'})
        with contextlib.ExitStack() as failing:
            failing.callback(answer.close)
            client._raise_for_status(answer)
            container = client.inspect_container(number)
            failing.pop_all()
        return streams.Attachment(answer, container)

    @failures.checked
    def read_archive(self, name: str, path: str) -> bytes:
        """Return a tar of a small file; EngineNotFound without it."""
        stream, _stat = self._calls.get_archive(name, path)
        return b''.join(stream)

    @failures.checked
    def stat(self, name: str, path: str) -> FileStat:
        """Describe a file of a container, which need not run.

        :raises EngineNotFound: if there is none
        """
        url = self._calls._url('/containers/{0}/archive', name)
        answer = self._calls.head(url, params={'path': path},
                                  timeout=self._timeout)
        self._calls._raise_for_status(answer)
        found = json.loads(base64.b64decode(
            answer.headers['X-Docker-Container-Path-Stat']))
        return FileStat(found['mode'], found['size'], found['linkTarget'])

    @failures.checked
    def write_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpack a tar below ``path`` in a container's file system."""
        self._calls.put_archive(name, path, archive)

    @failures.checked
    def write_stream(self, name: str, path: str,
                     archive: Iterable[bytes]) -> None:
        """Unpack a large tar below ``path`` in a container's file system."""
        self._streams.put_archive(name, path, iter(archive))

    def export(self, name: str) -> Generator[bytes, None, None]:
        """Yield a tar of a container's whole file system.

        It is copied, not exported: some engines, 26.1 among them, keep the
        layers of what they have exported for ever, though it is removed.
        https://github.com/moby/moby/issues/48516

        :param name: of one that never ran: nothing is mounted in it
        """
        with failures.classified():
            stream, _stat = self._streams.get_archive(name, '/.', CHUNK)
            yield from stream

    @failures.checked
    def commit(self, name: str, reference: str, *, pause: bool,
               changes: Sequence[str] = ()) -> str:
        """Make an engine image of a container's file system.

        :param reference: ``repository:tag`` of the new image
        :param pause: freeze the container meanwhile
        :param changes: Dockerfile instructions
        :returns: the engine image's id
        """
        repository, tag = reference.rsplit(':', 1)
        url = self._streams._url('/commit')
        # Without a change the engine refuses an empty list of them.
        more = {'changes': '\n'.join(changes)} if changes else {}
        answer = self._streams._post_json(url, data={}, params={
            'container': name, 'repo': repository, 'tag': tag,
            'pause': pause, **more})
        return str(self._streams._result(answer, json=True)['Id'])
