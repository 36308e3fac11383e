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

"""nova-docker-image: from an engine to the cloud, into a server, and back."""

from __future__ import annotations

import subprocess

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import workbench


def command(*arguments: str) -> str:
    """Run the command as the demo user; return what it prints."""
    ran = subprocess.run(
        ['nova-docker-image', '--os-cloud', 'demo', *arguments], check=False,
        capture_output=True, text=True, timeout=clouds.PATIENCE)
    if ran.returncode:
        raise AssertionError(
            f'nova-docker-image {" ".join(arguments)}: {ran.stderr}')
    return ran.stdout.strip()


class ImageCommandTestCase(base.CloudTestCase):
    def reference(self) -> str:
        """Return a name for an engine image that goes with the test."""
        name = f'nova-docker-test/pushed:{workbench.new_name()}'
        self.addCleanup(host.remove_reference, name)
        return name

    def test_round_trip(self) -> None:
        mine, pulled = self.reference(), self.reference()
        host.engine().images.load(archives.busybox(
            files={'etc/marker': b'pushed\n'}, tags=[mine]))
        image_id = self.make.owned_image(command('push', mine))
        self.assertEqual('pushed', self.make.prints('cat /etc/marker',
                                                    image=image_id))
        images = clouds.connection('demo').image
        sent = images.get_image(image_id)
        self.assertEqual(image_id, command('push', mine))
        self.assertEqual(sent, images.get_image(image_id))
        self.assertEqual(pulled, command('pull', mine, '--as', pulled))
        tags = host.tags()
        self.assertEqual(tags[mine], tags[pulled])
