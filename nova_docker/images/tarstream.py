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

"""Reads and writes the tar format as a stream, in constant memory."""

from collections.abc import Mapping
import dataclasses
from typing import Final
from typing import Protocol

from nova_docker.images import compression
from nova_docker.images import limits

BLOCK: Final = 512
END: Final = b'\0' * (2 * BLOCK)

REGULAR: Final = b'0'
HARD_LINK: Final = b'1'
SYMLINK: Final = b'2'
DIRECTORY: Final = b'5'
_SPARSE: Final = b'S'
_PAX: Final = b'x'
_PAX_GLOBAL: Final = b'g'
_LONG_NAME: Final = b'L'
_LONG_LINK: Final = b'K'

_EXTENSIONS: Final = frozenset((_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK))
#: These have no data, whatever size their header claims. GNU tar, Go and
#: POSIX agree.
_WITHOUT_DATA: Final = frozenset((HARD_LINK, SYMLINK, b'3', b'4', DIRECTORY,
                                  b'6'))
#: Bytes of names and attributes that may stand before one member.
_MAX_EXTENSION: Final = 1024 ** 2
#: PAX records in one header. Most have a handful, and one for each extended
#: attribute of the file.
_MAX_RECORDS: Final = 100
_ZEROS: Final = bytes(BLOCK)
# A size beyond this is a claim, not a file; and the tools differ on it.
_MAX_SIZE: Final = 2 ** 60


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a tar header says of one member.

    :param kind: the type flag; ``REGULAR`` for both of its spellings
    :param size: bytes of data that follow
    :param link: the target, if this is a link
    """

    name: str
    kind: bytes
    size: int
    link: str = ''


class Visitor(Protocol):
    """Is told what a :class:`Walker` comes across."""

    def extended(self) -> None:
        """A header starts that only says more of the next member."""

    def begin(self, header: Header) -> None:
        """A member starts."""

    def data(self, piece: memoryview) -> None:
        """A piece of the member's data."""

    def end(self) -> None:
        """The member is complete."""


def _text(field: bytes) -> str:
    return field.split(b'\0', 1)[0].decode('utf-8', 'surrogateescape')


def _damaged(what: str) -> limits.Unacceptable:
    return limits.Unacceptable(f'its tar format is damaged ({what})')


def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:
        # GNU's base 256; the bit below the marker is the sign.
        if field[0] & 0x40:
            raise _damaged(f'a negative {what}')
        return int.from_bytes(field, 'big') & ~(0x80 << 8 * (len(field) - 1))
    digits = field.strip(b' \0').split(b'\0', 1)[0]
    if not digits:
        return 0
    try:
        # int() alone would also take signs, underscores and prefixes.
        if not digits.isdigit():
            raise ValueError
        return int(digits, 8)
    except ValueError:
        raise _damaged(f'a {what} that is no number') from None


def decode(block: bytes) -> Header:
    """Read one header block.

    :raises Unacceptable: when it is none
    """
    stored = _number(block[148:156], 'checksum')
    if stored != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise _damaged('a header with a wrong checksum')
    name = _text(block[:100])
    if block[257:263] == b'ustar\0' and block[345]:
        name = f'{_text(block[345:500])}/{name}'
    kind = block[156:157]
    return Header(name=name, kind=REGULAR if kind == b'\0' else kind,
                  size=_number(block[124:136], 'size'),
                  link=_text(block[157:257]))


def encode(name: str, size: int) -> bytes:
    """Return the header of a regular file.

    :param name: at most 100 characters of ASCII
    """
    # GNU's base 256 starts where eleven octal digits end, at 8 GiB.
    length = (b'%011o\0' % size if size < 8 ** 11
              else b'\x80' + size.to_bytes(11, 'big'))
    block = bytearray(BLOCK)
    block[:len(name)] = name.encode('ascii')
    block[100:136] = b'0000644\0' + b'0000000\0' * 2 + length
    block[136:157] = b'%011o\0' % 0 + b' ' * 8 + REGULAR
    block[257:265] = b'ustar\0' + b'00'
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """Return the zeros that follow a member of this size."""
    return bytes(-size % BLOCK)


def member(name: str, content: bytes) -> bytes:
    """Return a whole member."""
    return encode(name, len(content)) + content + padding(len(content))


def pax_records(data: bytes) -> Mapping[str, str]:
    """Read a PAX extended header: ``LENGTH KEY=VALUE\\n`` again and again."""
    records: dict[str, str] = {}
    start = 0
    while start < len(data):
        space = data.find(b' ', start, start + 8)
        length = data[start:max(start, space)]
        if not length.isdigit():
            raise _damaged('a PAX record without a length')
        end = start + int(length)
        record = data[space + 1:end]
        key, found, value = record[:-1].partition(b'=')
        if end > len(data) or not found or not record.endswith(b'\n'):
            raise _damaged('a PAX record without an end')
        text = key.decode('utf-8', 'surrogateescape')
        if text in records:
            # Readers differ on which one counts.
            raise _damaged(f'PAX record {text[:80]!r} given twice')
        records[text] = value.decode('utf-8', 'surrogateescape')
        if len(records) > _MAX_RECORDS:
            raise _damaged(f'more than {_MAX_RECORDS} PAX records in a row')
        start = end
    return records


class _Extensions:
    """What stands before a member and changes what its header says."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def add(self, kind: bytes, data: bytes) -> None:
        if kind == _LONG_NAME:
            self._fields['name'] = _text(data)
        elif kind == _LONG_LINK:
            self._fields['link'] = _text(data)
        else:
            self._add_pax(pax_records(data), kind == _PAX_GLOBAL)

    def _add_pax(self, records: Mapping[str, str], everywhere: bool) -> None:
        if any(key.startswith('GNU.sparse.') for key in records):
            raise _sparse()
        fields = {ours: records[theirs] for ours, theirs in (
            ('name', 'path'), ('link', 'linkpath'), ('size', 'size'))
            if records.get(theirs)}
        if everywhere and fields:
            # No tool writes it, and readers differ on what it means.
            raise _damaged('a name or size for all members')
        self._fields.update(fields)

    def apply(self, header: Header) -> Header:
        """Return the header with its extensions, and forget them."""
        if not self._fields:
            return header
        size = self._fields.pop('size', str(header.size))
        if not (size.isascii() and size.isdigit() and len(size) < 20):
            raise _damaged('a PAX size that is no number')
        fields, self._fields = self._fields, {}
        return Header(name=fields.get('name', header.name), kind=header.kind,
                      size=int(size), link=fields.get('link', header.link))


def _sparse() -> limits.Unacceptable:
    # A sparse member of some bytes is a file of any size once unpacked.
    return limits.Unacceptable('it has a sparse file in a tar archive; make '
                               'the archive without --sparse')


def _check_head(block: bytes) -> None:
    """Refuse an archive that an engine would not take as it is."""
    if compression.engine_unpacks(block):
        raise limits.Unacceptable(
            'the first name in one of its tar archives begins as compressed '
            'data does, for which Docker Engine would take the archive')


class Walker:
    """Goes through a tar archive as its bytes come, and tells a visitor.

    :param visitor: who is told
    """

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._begun = False           # the first block has come
        self._partial = bytearray()   # a header block that is not complete
        self._left = 0                # bytes of data still to come
        self._skip = 0                # bytes of padding still to come
        self._inside = False          # between begin() and end()
        self._extension = b''         # its kind, while reading one
        self._extension_data = bytearray()
        self._extensions = _Extensions()
        #: The archive has said that it is at its end.
        self.ended = False

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        :raises Unacceptable: when they are not tar, or come after its end
        """
        view = memoryview(data)
        while view:
            if self._left:
                step = min(self._left, len(view))
                self._data(view[:step])
            elif self._skip:
                step = min(self._skip, len(view))
                self._skip -= step
            else:
                step = min(BLOCK - len(self._partial), len(view))
                self._block(view[:step])
            view = view[step:]

    def close(self) -> None:
        """Raise Unacceptable unless the archive came to its proper end."""
        if not self.ended or any(self._partial):
            raise limits.Unacceptable(
                'its tar archive ends in the middle: it is truncated')

    def _data(self, piece: memoryview) -> None:
        self._left -= len(piece)
        if self._extension:
            self._extension_data += piece
        else:
            self._visitor.data(piece)
        if not self._left:
            self._complete()

    def _complete(self) -> None:
        if self._extension:
            self._extensions.add(self._extension, bytes(self._extension_data))
            self._extension = b''
            self._extension_data.clear()
        else:
            self._visitor.end()

    def _block(self, piece: memoryview) -> None:
        self._partial += piece
        if len(self._partial) < BLOCK:
            return
        block = bytes(self._partial)
        self._partial.clear()
        if not self._begun:
            self._begun = True
            _check_head(block)
        if block == _ZEROS:
            self.ended = True
        elif self.ended:
            raise limits.Unacceptable('its tar archive has data after its '
                                      'end')
        else:
            self._header(decode(block))

    def _header(self, header: Header) -> None:
        if header.kind in _EXTENSIONS:
            if header.size > _MAX_EXTENSION:
                raise _damaged('a name of more than 1 MiB')
            self._extension = header.kind
            self._visitor.extended()
        else:
            header = self._extensions.apply(header)
            if header.kind == _SPARSE:
                raise _sparse()
            if header.kind in _WITHOUT_DATA:
                header = dataclasses.replace(header, size=0)
            if header.size > _MAX_SIZE:
                raise _damaged('an impossible size')
            self._visitor.begin(header)
        self._left = header.size
        self._skip = -header.size % BLOCK
        if not self._left:
            self._complete()
