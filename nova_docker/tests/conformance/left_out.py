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

_LIVE = 'processes do not move from kernel to kernel'
_LAYERS = ('Cinder asks for it where a volume is a file with layers, which '
           'virtual machines read and containers do not')

#: What a container, or its host, can't have.
NEVER: Mapping[str, str] = {
    'check_can_live_migrate_destination': _LIVE,
    'check_can_live_migrate_source': _LIVE,
    'cleanup_live_migration_destination_check': _LIVE,
    'default_device_names_for_instance': 'Nova names devices itself then, '
                                         'and a container has none',
    'get_instance_disk_info': 'a container has no disk files with a format',
    'get_mks_console': 'a container has no screen',
    'get_spice_console': 'a container has no screen',
    'get_vnc_console': 'a container has no screen',
    'host_maintenance_mode': 'a host is disabled, and its servers migrate, '
                             'as it is with libvirt',
    'host_power_action': "the host's power is its operator's, as it is with "
                         'libvirt',
    'live_migration': _LIVE,
    'live_migration_abort': _LIVE,
    'live_migration_force_complete': _LIVE,
    'post_live_migration_at_destination': _LIVE,
    'post_live_migration_at_source': _LIVE,
    'power_update_event': "it tells of Ironic's machines",
    'pre_live_migration': _LIVE,
    'rollback_live_migration_at_destination': _LIVE,
    'set_host_enabled': 'Nova disables its own service instead, as it does '
                        'with libvirt',
    'volume_snapshot_create': _LAYERS,
    'volume_snapshot_delete': _LAYERS,
}
