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

"""Whether nobody has written to a block device."""

from collections.abc import Collection
from collections.abc import Iterator

from oslo_utils import units

from nova_docker.privsep import written

#: A device of this size is read whole before it is taken for blank. Of a
#: larger one the two ends are, which is where signatures are, and so many
#: pieces between them.
_WHOLE = 64 * units.Mi
_END = 16 * units.Mi
_PIECES, _PIECE = 512, 16 * units.Ki
_ZEROS = bytes(units.Mi)
#: What is told apart of what is not blank.
PAGE = 4096


def is_blank(device: str, but: Collection[int] = ()) -> bool:
    """Tell whether a device is blank, as far as it is read.

    :param but: the numbers of pages that may hold anything
    """
    with written.opened(device) as content:
        return all(_is_zero(content, start, length, but)
                   for start, length in _samples(content.size))


def _samples(size: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces, as offset and length, that are looked at."""
    if size <= _WHOLE:
        yield 0, size
        return
    yield 0, _END
    yield size - _END, _END
    step = (size - 2 * _END) // _PIECES
    for number in range(_PIECES):
        # Whole pages, where file systems have theirs.
        yield (_END + number * step) // PAGE * PAGE, _PIECE


def _is_zero(content: written.Content, start: int, length: int,
             but: Collection[int]) -> bool:
    while length:
        piece = content.read(start, min(length, len(_ZEROS)))
        if not piece:
            return True
        if piece != _ZEROS[:len(piece)] and any(
                (start + at) // PAGE not in but
                for at in range(0, len(piece), PAGE)
                if any(piece[at:at + PAGE])):
            return False
        start += len(piece)
        length -= len(piece)
    return True
