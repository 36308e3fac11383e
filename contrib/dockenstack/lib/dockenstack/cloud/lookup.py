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

"""Give the ids that Tempest's configuration needs; have its second image."""

import json
import pathlib
import sys
from typing import Any

import openstack

from dockenstack.cloud import provision
from dockenstack.cloud import signed

#: Another image with an SSH server, which only Tempest has a use for.
SECOND = 'tempest-second'


def main() -> None:
    request = json.load(sys.stdin)
    path, digest = request['image']
    admin: Any = openstack.connect(cloud='admin')
    provision.ensure_image(admin, SECOND, pathlib.Path(path), digest)
    print(json.dumps({
        **(signed.ensure(openstack.connect(cloud='demo'), pathlib.Path(path),
                         digest) if request['sign'] else {}),
        'image': admin.image.find_image('ssh').id,
        'image_alt': admin.image.find_image(SECOND).id,
        'flavor': admin.compute.find_flavor('m1.nano').id,
        'flavor_alt': admin.compute.find_flavor('m1.tiny').id,
        'public': admin.network.find_network('public').id,
    }))


if __name__ == '__main__':
    main()
