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

"""What Nova's suite calls and this driver does not implement, and why."""

from collections.abc import Mapping

#: What a container, or its host, can't have.
NEVER: Mapping[str, str] = {
    'get_instance_disk_info': 'a container has no disk files with a format',
    'get_mks_console': 'a container has no screen',
    'get_spice_console': 'a container has no screen',
    'get_vnc_console': 'a container has no screen',
    'host_power_action': "the host's power is its operator's, as it is with "
                         'libvirt',
    'live_migration_abort': 'processes do not move from kernel to kernel',
    'set_host_enabled': 'Nova disables its own service instead, as it does '
                        'with libvirt',
}
