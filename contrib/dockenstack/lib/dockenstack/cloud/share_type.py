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

"""Have a type of shares, which a share has that asks for none."""

import json
import sys
from typing import Any

import openstack
from openstack import exceptions


def main() -> None:
    name = json.load(sys.stdin)['name']
    shares: Any = openstack.connect(cloud='admin').shared_file_system
    known = shares.get('/types', microversion='2.82').json()['share_types']
    if name not in [each['name'] for each in known]:
        exceptions.raise_from_response(shares.post(
            '/types', microversion='2.82', json={'share_type': {
                'name': name, 'share_type_access:is_public': True,
                'extra_specs': {'driver_handles_share_servers': 'False'}}}))


if __name__ == '__main__':
    main()
