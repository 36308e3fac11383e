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

"""What a wheel puts where, beside Nova."""

from importlib import metadata
import pathlib
import unittest

import nova


class WheelTestCase(unittest.TestCase):
    def setUp(self) -> None:
        # Not what a build has left in the present directory.
        beside = str(pathlib.Path(nova.__file__).parents[1])
        [self.wheel] = metadata.Distribution.discover(
            name='nova-docker', path=[beside])

    def files(self, below: str) -> set[str]:
        """Return what was installed there, without what is compiled."""
        places = [pathlib.Path(str(each.locate())).resolve()
                  for each in self.wheel.files or ()]
        return {str(each).partition(below)[2] for each in places
                if below in str(each) and '__pycache__' not in each.parts}

    def test_of_novas_package_it_has_the_overlay_only(self) -> None:
        self.assertEqual({'virt/docker/__init__.py'},
                         self.files('site-packages/nova/'))

    def test_configuration(self) -> None:
        self.assertEqual({'nova-docker.conf.sample',
                          'rootwrap.d/docker.filters'},
                         self.files('etc/nova/'))

    def test_every_entry_point_can_be_loaded(self) -> None:
        found = {each.name: each.load() for each in self.wheel.entry_points}
        self.assertEqual({'nova-docker-image', 'nova-docker-status',
                          'nova_docker', 'docker'}, set(found))
        self.assertNotIn(None, found.values())

    def test_nothing_that_it_has_is_missing(self) -> None:
        """So what uninstalls it by its list finds all of it."""
        self.assertEqual([], [
            str(each) for each in self.wheel.files or ()
            if each.suffix != '.pyc'
            and not pathlib.Path(str(each.locate())).exists()])
