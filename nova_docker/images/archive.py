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

"""Turns an image archive of unknown origin into one fit for the engine.

``docker load`` believes every name in an archive: it moves the tags of other
tenants' images, of the sandbox's and of the host's own. So nothing but the
configuration and the layers of one image goes through, under names made
here, with a manifest made here that gives one tag or none. The result is the
plain ``docker save`` format, which every engine can read.

The manifest goes last, after everything is checked, and without it the engine
keeps nothing.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import posixpath
import tempfile
from typing import Final
from typing import TypeAlias

from nova_docker.images import compression
from nova_docker.images import configuration
from nova_docker.images import documents
from nova_docker.images import formats
from nova_docker.images import layers
from nova_docker.images import limits
from nova_docker.images import sinks
from nova_docker.images import tarstream

_CONFIG: Final = 'config.json'
_HINT: Final = ('; the tar archive of a root file system needs the container '
                'format "bare"')


#: Is told the digests of the unpacked layers before the engine learns which
#: these are; may wait, and may raise an error.
Admit: TypeAlias = Callable[[Sequence[str]], None]


class _Contents:
    """What was found in the archive; the visitor of its walk.

    :param budget: pays for what compressed layers unpack to
    :param hashed: find what each layer unpacks to
    :param files: closes temporary files, whatever happens
    """

    def __init__(self, budget: limits.Budget, hashed: bool,
                 files: contextlib.ExitStack) -> None:
        self._budget = budget
        self._hashed = hashed
        self._files = files
        self._members = 0
        self._documents: dict[str, bytes] = {}
        self._documents_left = limits.MAX_DOCUMENTS
        self._layers: dict[str, tuple[str, str | None]] = {}
        self._links: dict[str, str] = {}
        self._names: set[str] = set()
        self._output: list[Iterable[bytes]] = []
        self._member = tarstream.Header('', b'', 0)
        self._head: bytearray | None = None
        self._sink: sinks.Sink = sinks.Ignored()

    def drain(self) -> Iterator[bytes]:
        """Yield what the engine gets of the members so far."""
        for pieces in self._output:
            yield from pieces
        self._output.clear()

    def manifest(self, reference: str | None, architectures: Sequence[str],
                 admit: Admit) -> Iterator[bytes]:
        """Yield the end of the engine's archive: what makes it an image."""
        image = documents.find(self._documents, architectures)
        passed = [self._layer(name) for name in image.layers]
        if image.config not in self._documents:
            raise limits.Unacceptable(
                f'its configuration {limits.quoted(image.config)} is missing')
        config = configuration.Config(self._documents[image.config])
        config.check_platform(architectures)
        config.check_layers([digest for _name, digest in passed])
        admit(config.layers)
        yield tarstream.member(_CONFIG, config.cleaned())
        yield tarstream.member(documents.MANIFEST, json.dumps([{
            'Config': _CONFIG,
            'RepoTags': [reference] if reference else None,
            'Layers': [name for name, _digest in passed]}]).encode())
        yield tarstream.END

    # The walk

    def extended(self) -> None:
        self._count()

    def begin(self, header: tarstream.Header) -> None:
        self._count()
        name = _checked_name(header)
        self._sink = sinks.Ignored()
        self._head = None
        if header.kind == tarstream.DIRECTORY:
            return
        if name in self._names:
            raise limits.Unacceptable(f'it has {limits.quoted(name)} twice')
        self._names.add(name)
        if header.kind == tarstream.SYMLINK:
            self._links[name] = _target(name, header.link)
        elif header.kind == tarstream.REGULAR:
            self._member = dataclasses.replace(header, name=name)
            self._head = bytearray()
        else:
            raise limits.Unacceptable(
                f'its member {limits.quoted(name)} is no file, directory or '
                f'symbolic link{_HINT}')

    def data(self, piece: memoryview) -> None:
        if self._head is None:
            self._sink.write(piece)
            return
        self._head += piece
        if len(self._head) >= tarstream.BLOCK:
            self._recognised(bytes(self._head))

    def end(self) -> None:
        if self._head is not None:
            self._recognised(bytes(self._head))
        self._sink.close()

    def _count(self) -> None:
        self._members += 1
        if self._members > limits.MAX_MEMBERS:
            raise limits.Unacceptable(
                f'it has more than {limits.MAX_MEMBERS} members')

    def _recognised(self, head: bytes) -> None:
        self._head = None
        self._sink = self._sink_for(self._member, head)
        self._sink.write(head)

    def _sink_for(self, member: tarstream.Header, head: bytes) -> sinks.Sink:
        decompressor = compression.decompressor(head, self._budget)
        if decompressor or formats.is_tar(head):
            passed = f'layer-{len(self._layers)}.tar'
            check = layers.Layer(decompressor, self._budget, self._hashed)

            def note(digest: str | None) -> None:
                self._layers[member.name] = passed, digest

            if head.startswith(compression.ZSTD):
                file = self._files.enter_context(
                    tempfile.TemporaryFile())  # noqa: SIM115, it does
                return sinks.ZstdLayer(passed, file, check, note,
                                       self._output.append)
            return sinks.PlainLayer(passed, member.size, check, note,
                                    self._output.append)
        if head.lstrip()[:1] in (b'{', b'['):
            return self._document(member)
        return sinks.Ignored()

    def _document(self, member: tarstream.Header) -> sinks.Sink:
        self._documents_left -= member.size
        if member.size > limits.MAX_DOCUMENT or self._documents_left < 0:
            raise limits.Unacceptable(
                f'its JSON document {limits.quoted(member.name)} is too '
                'large')

        def keep(content: bytes) -> None:
            self._documents[member.name] = content
        return sinks.Document(keep)

    def _layer(self, name: str) -> tuple[str, str | None]:
        name = self._links.get(name, name)
        if name not in self._layers:
            raise limits.Unacceptable(
                f'its layer {limits.quoted(name)} is missing or no tar '
                'archive')
        return self._layers[name]


def sanitised(chunks: Iterable[compression.Data], reference: str | None, *,
              architectures: Sequence[str], limit: int,
              hashed: bool = True, admit: Admit = lambda digests: None
              ) -> Generator[bytes, None, None]:
    """Yield an archive for ``docker load``, checked and with our tag only.

    :param chunks: a ``docker save`` archive or OCI image layout in a tar
        archive, plain or compressed with gzip or zstd
    :param reference: the tag that the image gets; None for no tag
    :param architectures: what this host runs, best first, as Go spells it
    :param limit: bytes that the image may unpack to
    :param hashed: compare each layer with its digest; else the engine has to
    :param admit: is called before the last piece
    :raises Unacceptable: before the last piece, when the archive is anything
        else, damaged, incomplete, for another architecture or too large
    """
    budget = limits.Budget(limit)
    with contextlib.ExitStack() as files:
        contents = _Contents(budget, hashed, files)
        walker = tarstream.Walker(contents)
        for piece in formats.tar_only(compression.unpacked(chunks, budget)):
            walker.feed(piece)
            yield from contents.drain()
        walker.close()
        yield from contents.manifest(reference, architectures, admit)


def _checked_name(header: tarstream.Header) -> str:
    name = header.name.removeprefix('./')
    if header.kind == tarstream.DIRECTORY:
        if name in ('', '.'):
            return name
        name = name.removesuffix('/')
    if (not name.isprintable() or '\\' in name
            or {'', '.', '..'} & set(name.split('/'))):
        raise limits.Unacceptable(
            f'its member name {limits.quoted(header.name)} is not allowed')
    return name


def _target(name: str, link: str) -> str:
    """Return where a link leads, which must be inside the archive.

    Docker before 25 writes the second of two equal layers as a link.
    """
    target = posixpath.normpath(
        posixpath.join(posixpath.dirname(name), link))
    if target.startswith(('/', '../')) or target == '..':
        raise limits.Unacceptable(
            f'its link {limits.quoted(name)} leads out of the archive{_HINT}')
    return target
