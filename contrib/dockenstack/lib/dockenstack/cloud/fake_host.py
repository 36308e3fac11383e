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

"""Put the fake compute host into a zone and give it an image, or forget it."""

import io
import json
import sys
from typing import Any

import openstack


def forget(admin: Any, host: str) -> None:
    """Remove all that Nova and Neutron know of the host, which is stopped."""
    services = list(admin.compute.services(host=host))
    for service in services:
        # Then its servers are deleted without waiting for it.
        admin.compute.update_service_forced_down(
            service, forced=True)
    for server in list(admin.compute.servers(all_projects=True)):
        if server.compute_host == host:
            admin.compute.delete_server(server)
            admin.compute.wait_for_delete(server)
    for aggregate in list(admin.compute.aggregates()):
        if aggregate.name == host:
            for member in aggregate.hosts or []:
                admin.compute.remove_host_from_aggregate(aggregate, member)
            admin.compute.delete_aggregate(aggregate)
    for service in services:
        admin.compute.delete_service(service)
    for agent in list(admin.network.agents(host=host)):
        admin.network.delete_agent(agent)
    for image in list(admin.image.images(name=host)):
        admin.image.delete_image(image)


def adopt(admin: Any, host: str, zone: str) -> None:
    """Have an aggregate with the host, and an image that it accepts."""
    aggregate = next((each for each in admin.compute.aggregates()
                      if each.name == host), None)
    if aggregate is None:
        aggregate = admin.compute.create_aggregate(
            name=host, availability_zone=zone)
    if host not in (aggregate.hosts or []):
        admin.compute.add_host_to_aggregate(aggregate, host)
    if not list(admin.image.images(name=host)):
        admin.image.create_image(
            name=host, data=io.BytesIO(b'\0' * 512), container_format='bare',
            disk_format='raw', visibility='public', wait=True)


def main() -> None:
    request = json.load(sys.stdin)
    admin: Any = openstack.connect(cloud='admin')
    if request['zone']:
        adopt(admin, request['host'], request['zone'])
    else:
        forget(admin, request['host'])


if __name__ == '__main__':
    main()
