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

"""What the tests of archives share."""

import io
import json
import re
import tarfile

from nova_docker.images import archive
from nova_docker.images import limits
from nova_docker.images import tarstream
from nova_docker.tests import base as tests
from nova_docker.tests.unit.images import archives
from nova_docker.tests.unit.images import test_tarstream as raw

TAG = 'ours:tag'
Files = dict[str, bytes]


class ArchiveTestCase(tests.TestCase):
    """A test of what comes out of an archive of two layers."""

    both = [archives.LOWER, archives.UPPER]

    def sanitise(self, content: bytes, reference: str | None = TAG,
                 size: int = 2 ** 20, limit: int = archives.ROOM) -> bytes:
        """Return what the engine would get."""
        return b''.join(archive.sanitised(
            archives.pieces(content, size), reference,
            architectures=('amd64', '386'), limit=limit))

    def assert_image(self, content: bytes, layers: list[bytes],
                     reference: str | None = TAG) -> Files:
        """Check that an archive has one image under our names only."""
        found: Files = {}
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                self.assertTrue(member.isreg() and re.fullmatch(
                    r'layer-\d+\.tar|config\.json|manifest\.json',
                    member.name), member)
                self.assertNotIn(member.name, found)
                data = tar.extractfile(member)
                assert data is not None
                found[member.name] = data.read()
        self.assertEqual('manifest.json', list(found)[-1])
        [manifest] = json.loads(found['manifest.json'])
        self.assertEqual(['Config', 'Layers', 'RepoTags'], sorted(manifest))
        self.assertEqual('config.json', manifest['Config'])
        self.assertEqual([reference] if reference else None,
                         manifest['RepoTags'])
        self.assertEqual(
            [archives.digest(layer) for layer in layers],
            [archives.digest(found[name]) for name in manifest['Layers']])
        return found

    def refused(self, content: bytes, size: int = 2 ** 20,
                limit: int = archives.ROOM) -> str:
        """Check that a refusal comes before the engine has an image."""
        passed = bytearray()
        stream = archive.sanitised(
            archives.pieces(content, size), TAG,
            architectures=('amd64', '386'), limit=limit)

        def consume() -> None:
            for piece in stream:
                passed.extend(piece)
        error = self.assertRaises(limits.Unacceptable, consume)
        recorder = raw.Recorder()
        walker = tarstream.Walker(recorder)
        walker.feed(bytes(passed))
        self.assertFalse(walker.ended)
        self.assertNotIn('manifest.json', [
            header.name for header, _content in recorder.members])
        return str(error)
