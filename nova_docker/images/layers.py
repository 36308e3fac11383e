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

"""Checks one layer of an image while its bytes pass."""

from collections.abc import Iterator
import hashlib

from nova_docker.images import compression
from nova_docker.images import limits
from nova_docker.images import tarstream


class _Counter:
    """Counts the files of a layer."""

    def __init__(self, budget: limits.Budget) -> None:
        self._budget = budget

    def extended(self) -> None:
        self._budget.file()

    def begin(self, header: tarstream.Header) -> None:
        self._budget.file()

    def data(self, piece: memoryview) -> None:
        """What is in the files is the tenant's own business."""

    def end(self) -> None:
        """Nothing is kept of a file."""


class Layer:
    """A layer on its way through.

    :param decompressor: undoes its compression, if it has any
    :param budget: pays for what a compressed layer unpacks to, and for files
    :param hashed: find the digest of what it unpacks to; it takes time
    """

    def __init__(self, decompressor: compression.Decompressor | None,
                 budget: limits.Budget, hashed: bool) -> None:
        self._decompressor = decompressor
        self._budget = budget
        self._digest = hashlib.sha256() if hashed else None
        self._walker: tarstream.Walker | None = tarstream.Walker(
            _Counter(budget))

    def feed(self, data: compression.Data) -> Iterator[compression.Data]:
        """Take the layer's next bytes; yield what they unpack to."""
        if self._decompressor is None:
            self._check(data)
            yield data
            return
        for piece in self._decompressor.feed(data):
            self._budget.spend(len(piece))
            self._check(piece)
            yield piece

    def close(self) -> str | None:
        """Return the digest of the unpacked layer, if it was asked for."""
        if self._decompressor is not None:
            self._decompressor.close()
        return (f'sha256:{self._digest.hexdigest()}' if self._digest
                else None)

    def _check(self, data: compression.Data) -> None:
        if self._digest:
            self._digest.update(data)
        if self._walker is None:
            return
        self._walker.feed(data)
        if self._walker.ended:
            # Some builders put things behind the end; no reader looks there.
            self._walker = None
