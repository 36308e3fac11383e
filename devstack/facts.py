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

"""Tell DevStack's plugin what dockenstack knows already.

``features`` prints what Tempest shall test of the compute service, a name and
``True`` or ``False`` a line. ``image NAME FILE`` writes an image's archive.
``filters`` prints what cinder-volume may run as root for volumes in files.
"""

import pathlib
import sys

from dockenstack.images import recipes
from dockenstack.openstack import cinder
from dockenstack.openstack import tempest


def features() -> None:
    for feature in tempest.FEATURES:
        print(feature.name, feature.enabled)


def image(name: str, path: str) -> None:
    recipes.RECIPES[name](pathlib.Path(path))


def filters() -> None:
    print(cinder.FILTERS, end='')


if __name__ == '__main__':
    {'features': features, 'filters': filters,
     'image': image}[sys.argv[1]](*sys.argv[2:])
