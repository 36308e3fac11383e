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

"""Register users, projects, services and end points in Keystone."""

import json
import sys
from typing import Any

import openstack


def ensure_user(cloud: Any, name: str, password: str, project: Any,
                *roles: str) -> None:
    user = cloud.identity.find_user(name)
    if user is None:
        user = cloud.identity.create_user(
            name=name, password=password, domain_id='default')
    else:
        cloud.identity.update_user(user, password=password)
    for role in roles:
        cloud.identity.assign_project_role_to_user(
            project, user, cloud.identity.find_role(role))


def ensure_project(cloud: Any, name: str) -> Any:
    return (cloud.identity.find_project(name) or
            cloud.identity.create_project(name=name, domain_id='default'))


def ensure_service(cloud: Any, region: str, name: str, kind: str,
                   url: str) -> None:
    service = (cloud.identity.find_service(name) or
               cloud.identity.create_service(name=name, type=kind))
    known = {point.interface: point
             for point in cloud.identity.endpoints(service_id=service.id)}
    for interface in ('public', 'internal', 'admin'):
        if interface not in known:
            cloud.identity.create_endpoint(
                service_id=service.id, region_id=region,
                interface=interface, url=url)
        elif known[interface].url != url:
            cloud.identity.update_endpoint(known[interface], url=url)


def main() -> None:
    request = json.load(sys.stdin)
    cloud: Any = openstack.connect(cloud='admin')
    passwords = request['passwords']
    service_project = ensure_project(cloud, 'service')
    for name, (kind, url) in request['services'].items():
        ensure_user(cloud, name, passwords[name], service_project,
                    'admin', 'service')
        ensure_service(cloud, request['region'], name, kind, url)
    ensure_user(cloud, 'demo', passwords['demo'],
                ensure_project(cloud, 'demo'), 'member')
    for name, password in request['renewed'].items():
        cloud.identity.update_user(cloud.identity.find_user(name),
                                   password=password)


if __name__ == '__main__':
    main()
