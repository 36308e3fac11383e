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

"""Tests of nova_docker.images.tarstream."""

import io
import tarfile

import ddt

from nova_docker.images import limits
from nova_docker.images import tarstream
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives


class Recorder:
    """A visitor that remembers everything."""

    def __init__(self) -> None:
        self.members: list[tuple[tarstream.Header, bytes]] = []
        self.complete = True

    def extended(self) -> None:
        assert self.complete

    def begin(self, header: tarstream.Header) -> None:
        assert self.complete
        self.members.append((header, b''))
        self.complete = False

    def data(self, piece: memoryview) -> None:
        header, content = self.members[-1]
        self.members[-1] = header, content + piece

    def end(self) -> None:
        self.complete = True


def walk(archive: bytes, size: int = 2 ** 20) -> Recorder:
    recorder = Recorder()
    walker = tarstream.Walker(recorder)
    for piece in archives.pieces(archive, size):
        walker.feed(piece)
    walker.close()
    return recorder


def header(**fields: bytes) -> bytes:
    """Return a header block with raw fields and a right checksum."""
    places = {'name': 0, 'size': 124, 'kind': 156}
    block = bytearray(tarstream.encode('file', 0))
    for field, value in fields.items():
        block[places[field]:places[field] + len(value)] = value
    block[148:156] = b' ' * 8
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block)


def extended(kind: bytes, data: bytes) -> bytes:
    """Return an extension for the member that follows."""
    return (header(kind=kind, size=b'%011o' % len(data)) + data
            + tarstream.padding(len(data)))


def record(key: str, value: str) -> bytes:
    """Return a PAX record."""
    text = f' {key}={value}\n'.encode()
    length = len(text) + len(str(len(text) + 2))
    return b'%d%b' % (length, text)


@ddt.ddt
class WalkerTest(base.TestCase):

    @ddt.data(tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    def test_reads_every_format_in_any_pieces(self, form: int) -> None:
        files = [('short', b'x' * 1000), (f'{"d" * 90}/{"f" * 60}', b'y'),
                 ('exact', b'z' * 512), ('empty', b'')]
        archive = archives.tar(
            [archives.special('dir', tarfile.DIRTYPE), *files,
             archives.special('link', tarfile.SYMTYPE, 'short')],
            format=form)
        for size in (1, 511, 512, 513, 10_000, 2 ** 20):
            found = walk(archive, size).members
            self.assertEqual(
                [('dir', b''), *files, ('link', b'')],
                [(member.name.rstrip('/'), data) for member, data in found])
            self.assertEqual('short', found[-1][0].link)

    @ddt.data(tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    def test_reads_long_names(self, form: int) -> None:
        name, target = 'n' * 300, 't' * 300
        archive = archives.tar(
            [(name, b'content'),
             archives.special('link', tarfile.SYMTYPE, target)], format=form)
        first, second = (member for member, _data in walk(archive).members)
        self.assertEqual((name, 7), (first.name, first.size))
        self.assertEqual(target, second.link)

    def test_reads_a_size_from_a_pax_record(self) -> None:
        archive = (extended(b'x', record('size', '600')) + header(size=b'0')
                   + b'a' * 600 + tarstream.padding(600) + tarstream.END)
        member, data = walk(archive).members[0]
        self.assertEqual((600, b'a' * 600), (member.size, data))

    def test_a_file_may_have_large_attributes(self) -> None:
        archive = (extended(b'x', b''.join(
            record(f'SCHILY.xattr.user.{number}', 'x' * 2 ** 16)
            for number in range(15))) + header() + tarstream.END)
        self.assertEqual(1, len(walk(archive).members))

    def test_a_link_has_no_data_whatever_it_claims(self) -> None:
        archive = (header(kind=b'2', size=b'%011o' % 512)
                   + header(name=b'next') + tarstream.END)
        self.assertEqual(['file', 'nextfile'[:4]],
                         [member.name for member, _ in walk(archive).members])

    def test_a_truncated_archive_is_refused_wherever_it_ends(self) -> None:
        archive = archives.tar([('one', b'1' * 700), ('two', b'2')])
        end = 512 + 1024 + 512 + 512
        for cut in (1, 511, 512, 700, 512 + 700, 512 + 1024, end):
            error = self.assertRaises(limits.Unacceptable, walk, archive[:cut])
            self.assertIn('truncated', error.reason)
        walk(archive[:end + 512])

    def test_data_after_the_end_is_refused(self) -> None:
        archive = archives.tar([('one', b'1')])
        error = self.assertRaises(limits.Unacceptable, walk,
                                  archive + archive)
        self.assertIn('after its end', error.reason)

    @ddt.data(
        (b'\x01' * 512, 'checksum'),
        (header(size=b'-0000000001'), 'size'),
        (header(size=b'0o00000001\0'), 'size'),
        (header(size=b'1_000000000'), 'size'),
        (header(size=b'00000000009'), 'size'),
        (header(size=b'\xff' * 12), 'negative'),
        (header(size=b'\x80' + b'\x7f' * 11), 'impossible size'),
        (extended(b'x', record('size', '-1')) + header(), 'size'),
        (extended(b'x', record('size', '٣')) + header(), 'size'),
        (extended(b'x', record('size', '9' * 19)) + header(), 'size'),
        (extended(b'x', record('path', 'a') + record('path', 'b')),
         'given twice'),
        (extended(b'x', b'nonsense'), 'PAX record'),
        (extended(b'x', b'99 path=a\n'), 'PAX record'),
        (extended(b'x', b'9 path=ab'), 'PAX record'),
        (extended(b'x', b'0 path=a\n'), 'PAX record'),
        (extended(b'x', b''.join(record(str(number), '')
                                 for number in range(101))), '100 PAX'),
        (extended(b'g', record('path', 'a')), 'all members'),
        (extended(b'g', record('size', '1')), 'all members'),
        (extended(b'x', record('GNU.sparse.major', '1')), 'sparse'),
        (header(kind=b'S'), 'sparse'),
        *((header(name=name), 'as compressed data does') for name in (
            b'BZh', b'\xfd7zXZ\0', b'P*M\x18', b'\x5f*M\x18', b'\x1f\x8b',
            b'\x28\xb5\x2f\xfd')),
        (header(kind=b'x', size=b'%011o' % 2 ** 21), '1 MiB'),
        (header(kind=b'L', size=b'%011o' % 2 ** 21), '1 MiB'),
    )
    @ddt.unpack
    def test_refuses(self, archive: bytes, reason: str) -> None:
        error = self.assertRaises(limits.Unacceptable, walk,
                                  archive + tarstream.END)
        self.assertIn(reason, error.reason)

    def test_what_an_engine_unpacks_is_told_by_the_first_bytes_alone(
            self) -> None:
        archive = header() + header(name=b'BZh') + tarstream.END
        self.assertEqual(['file', 'BZhe'],
                         [member.name for member, _ in walk(archive).members])

    def test_a_giant_size_takes_no_memory(self) -> None:
        walker = tarstream.Walker(Recorder())
        walker.feed(header(size=b'\x80' + (2 ** 59).to_bytes(11, 'big')))
        walker.feed(b'x' * 1000)
        error = self.assertRaises(limits.Unacceptable, walker.close)
        self.assertIn('truncated', error.reason)


class EncodeTest(base.TestCase):

    def test_tarfile_reads_it(self) -> None:
        content = b'c' * 700
        archive = (tarstream.encode('name', 700) + content
                   + tarstream.padding(700) + tarstream.END)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = tar.getmembers()[0]
            found = tar.extractfile(member)
            assert found is not None
            self.assertEqual(('name', content), (member.name, found.read()))

    def test_sizes_of_any_magnitude(self) -> None:
        for size in (0, 1, 8 ** 11 - 1, 8 ** 11, 2 ** 50):
            block = tarstream.encode('name', size)
            self.assertEqual(size, tarstream.decode(block).size)
            self.assertEqual(size, tarfile.TarInfo.frombuf(
                block, 'utf-8', 'strict').size)
