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

"""How Glance is asked for images."""


def literal(value: str) -> str:
    """Return a filter for a value, whose colon would make it an operator.

    https://docs.openstack.org/api-ref/image/v2/#v2-comparison-ops

    :param value: what an image must have, as its name
    """
    escaped = value.replace('\\', '\\\\').replace('"', '\\"')
    return f'in:"{escaped}"'
