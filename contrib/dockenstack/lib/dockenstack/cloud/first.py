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

"""Boot the first server once, and give what there is to see of it."""

import json
import sys
import time
from typing import Any

import openstack

NAME = 'first'
SECONDS = 240


def boot(demo: Any) -> Any:
    return demo.compute.create_server(
        name=NAME, image_id=demo.image.find_image('busybox').id,
        flavor_id=demo.compute.find_flavor('m1.nano').id,
        networks=[{'uuid': demo.network.find_network('private').id}],
        key_name='demo')


def fault() -> str:
    """What Nova says about the server in ERROR."""
    demo = connect()
    server = demo.compute.get_server(demo.compute.find_server(NAME))
    return str((server.fault or {}).get('message', 'and no fault is told'))


def connect() -> Any:
    return openstack.connect(cloud='demo')


def await_compute() -> None:
    """Wait until Nova has heard from the compute host.

    One that was away for a minute, as after a power cut, is down to Nova
    until its first report, and no server goes there.
    """
    admin = openstack.connect(cloud='admin')
    deadline = time.monotonic() + SECONDS
    while not any(service.state == 'up' for service
                  in admin.compute.services(binary='nova-compute')):
        if time.monotonic() > deadline:
            sys.exit(f'Nova has not heard of nova-compute for {SECONDS} s')
        time.sleep(0.5)


def main() -> int:
    request = json.load(sys.stdin)
    await_compute()
    demo = connect()
    server = demo.compute.find_server(NAME)
    begun = time.monotonic()
    if server is None and request['booted']:
        # Its owner has deleted it since.
        print(json.dumps({}))
        return 0
    if server is not None and server.status == 'ERROR':
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server)
        server = None
    if server is None:
        server = boot(demo)
    elif server.status == 'SHUTOFF':
        demo.compute.start_server(server)
    server = demo.compute.wait_for_server(
        server, interval=0.25, wait=SECONDS)
    addresses = [each['addr'] for network in server.addresses.values()
                 for each in network]
    print(json.dumps({
        'id': server.id, 'name': server.name, 'status': server.status,
        'addresses': ', '.join(addresses), 'image': 'busybox',
        'flavor': 'm1.nano', 'key_name': server.key_name,
        'seconds': round(time.monotonic() - begun, 1)}))
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except openstack.exceptions.ResourceFailure:
        sys.exit(f'server {NAME} went to ERROR: {fault()}')
