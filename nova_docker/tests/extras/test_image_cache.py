# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Images that no server has used for as long as Nova's options say."""

from __future__ import annotations

import re

from nova_docker import names
from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import workbench

#: What ``remove_unused_original_minimum_age_seconds`` is, if nobody sets it.
_DAY = 24 * 3600
_HOUR = 3600
#: What a run of the cache's manager says when it has removed an image.
_FIGURES = (r'Removed the unused image {}\.(?s:.*?)'
            r'Image cache: (\d+) images kept, (\d+) removed, which frees up '
            r'to (\d+) MiB \((\d+) bytes\)')
#: Seconds; there is a run a minute, as dockenstack has it.
_RUNS = 5 * 60


class ImageCacheTestCase(base.CloudTestCase):
    """What goes, and what stays.

    Nobody waits for a day: the engine's notes of when an image was last
    wanted are moved into the past.
    """

    def setUp(self) -> None:
        super().setUp()
        self._log = clouds.home() / 'log' / 'nova-compute.log'
        self._before = self._log.stat().st_size

    def image(self) -> str:
        """Return an image whose content no other one has."""
        return self.make.image(archives.busybox(
            files={'etc/marker': workbench.new_name().encode()}))

    def image_used_once(self) -> str:
        """Return the image of a server that is deleted."""
        image_id = self.image()
        self.make.delete(self.make.server(image=image_id))
        return image_id

    def figures_with(self, reference: str) -> tuple[int, ...]:
        """Return the numbers of the run that removes an image."""
        wanted = re.compile(_FIGURES.format(re.escape(reference)))

        def told() -> re.Match[str] | None:
            with self._log.open(errors='replace') as log:
                log.seek(self._before)
                return wanted.search(log.read())
        found = clouds.wait_until(told, f'{reference} is removed', _RUNS)
        return tuple(map(int, found.groups()))

    def test_a_day_after_its_last_server(self) -> None:
        used_id, young_id, old_id = (
            self.image(), self.image_used_once(), self.image_used_once())
        server = self.make.server(image=used_id)
        server.stop()
        references = used, young, old = [
            names.image_reference(each)
            for each in (used_id, young_id, old_id)]
        size = host.image(old)['Size']
        # In this order: the run that removes the last has seen the others.
        for reference, age in zip(
                references, (2 * _DAY, _DAY - _HOUR, _DAY + _HOUR),
                strict=True):
            host.age_image(reference, age)

        kept, removed, mebibytes, octets = self.figures_with(old)
        self.assertGreaterEqual(kept, 2)
        self.assertGreaterEqual(removed, 1)
        self.assertGreaterEqual(octets, size)
        self.assertEqual(octets // 2 ** 20, mebibytes)

        left = host.tags()
        self.assertNotIn(old, left)
        self.assertIn(young, left)
        self.assertIn(used, left)
        server.start()
        # Whoever wants it again gets it again.
        self.make.server(image=old_id)
        self.assertIn(old, host.tags())
