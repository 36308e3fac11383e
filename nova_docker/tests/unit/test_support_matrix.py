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

"""The support matrix says what the driver's code does, and nothing else."""

from __future__ import annotations

import configparser
import dataclasses
import inspect
import pathlib

import ddt
from nova.objects import fields
from nova.virt import driver as nova_driver
import os_traits
from oslotest import base

import nova_docker
from nova_docker import driver
from nova_docker import processor

_MATRIX = (pathlib.Path(nova_docker.__file__).parents[1]
           / 'doc' / 'source' / 'user' / 'support-matrix.ini')


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a driver has that does an operation of Nova's matrix."""

    methods: tuple[str, ...] = ()
    capability: str = ''


def _needs(*methods: str, capability: str = '') -> Needs:
    return Needs(methods, capability)


OPERATIONS = {
    'launch': _needs('spawn'),
    'terminate': _needs('destroy', 'cleanup'),
    'get-guest-info': _needs('get_info'),
    'reboot': _needs('reboot'),
    'pause': _needs('pause'),
    'unpause': _needs('unpause'),
    'suspend': _needs('suspend'),
    'resume': _needs('resume', 'resume_state_on_host_boot'),
    'rescue': _needs('rescue', 'unrescue'),
    # Nova makes a rebuild of these, if the driver has none of its own.
    'rebuild': _needs('destroy', 'spawn'),
    'resize': _needs(
        'migrate_disk_and_power_off', 'finish_migration',
        'confirm_migration', 'finish_revert_migration',
        capability='supports_migrate_to_same_host'),
    'evacuate': _needs('instance_on_disk', capability='supports_evacuate'),
    'snapshot': _needs('snapshot'),
    'quiesce': _needs('quiesce'),
    'unquiesce': _needs('unquiesce'),
    'set-admin-password': _needs('set_admin_password'),
    'trigger-crash-dump': _needs('trigger_crash_dump'),
    'attach-interface': _needs(
        'attach_interface', capability='supports_attach_interface'),
    'attach-tagged-interface': _needs(
        'attach_interface', capability='supports_tagged_attach_interface'),
    'detach-interface': _needs('detach_interface'),
    'device-tags': _needs(capability='supports_device_tagging'),
    'port-with-resource-request': _needs(
        capability='supports_remote_managed_ports'),
    'rebuild-volume-backed': _needs('spawn', 'destroy'),
    'attach-volume': _needs('attach_volume'),
    'attach-tagged-volume': _needs(
        'attach_volume', capability='supports_tagged_attach_volume'),
    'detach-volume': _needs('detach_volume'),
    'extend-volume': _needs(
        'extend_volume', capability='supports_extend_volume'),
    'swap-volume': _needs('swap_volume'),
    'multiattach-volume': _needs(
        'attach_volume', capability='supports_multiattach'),
    'encrypted-volume': _needs('attach_volume'),
    'live-migrate': _needs('live_migration', 'pre_live_migration'),
    'force-live-migration-to-complete': _needs(
        'live_migration_force_complete'),
    'abort-in-progress-live-migration': _needs('live_migration_abort'),
    'cache-images': _needs(
        'cache_image', 'manage_image_cache', capability='has_imagecache'),
    'trusted-certs': _needs(capability='supports_trusted_certs'),
    'get-host-uptime': _needs('get_host_uptime'),
    'get-host-ip': _needs('get_host_ip_addr'),
    'maintenance-mode': _needs('host_maintenance_mode'),
    'boot-emulated-tpm': _needs(capability='supports_vtpm'),
    'uefi-boot': _needs(capability='supports_secure_boot'),
    'boot-stateless-firmware': _needs(capability='supports_secure_boot'),
}

#: What nothing in a driver's interface tells of. The driver has none of it.
UNTOLD = {'boot-encrypted-vm', 'file-backed-memory'}


def _matrix() -> configparser.ConfigParser:
    matrix = configparser.ConfigParser()
    matrix.read(_MATRIX)
    return matrix


def _overridden(method: str) -> bool:
    # An operation must not be judged by a method that Nova does not have.
    ours = getattr(driver.DockerDriver, method)
    # One of ours that says so does not do it either.
    return (ours is not getattr(nova_driver.ComputeDriver, method)
            and 'NotImplementedError' not in inspect.getsource(ours))


def _claimed(capability: str) -> bool:
    return driver.DockerDriver.capabilities[capability]


@ddt.ddt
class SupportMatrixTestCase(base.BaseTestCase):
    def test_it_has_each_operation_of_novas(self) -> None:
        self.assertEqual(
            {f'operation.{each}'
             for each in {*OPERATIONS, *UNTOLD, 'report-cpu-traits'}},
            {each for each in _matrix().sections()
             if each.startswith('operation.')})
        self.assertEqual(44, len(OPERATIONS) + len(UNTOLD) + 1)

    @ddt.data(*OPERATIONS)
    def test_an_operation_is_as_complete_as_its_code(
            self, operation: str) -> None:
        needs = OPERATIONS[operation]
        there = [_overridden(each) for each in needs.methods]
        if needs.capability:
            there.append(_claimed(needs.capability))
        stated = _matrix()[f'operation.{operation}']['driver.docker']
        if stated == 'missing':
            self.assertFalse(all(there))
        else:
            self.assertIn(stated, ('complete', 'partial'))
            self.assertTrue(all(there))

    @ddt.data(*sorted(UNTOLD))
    def test_what_cannot_be_told_is_missing(self, operation: str) -> None:
        self.assertEqual(
            'missing',
            _matrix()[f'operation.{operation}']['driver.docker'])

    def test_traits_of_the_processor_are_reported(self) -> None:
        self.assertEqual(
            'complete',
            _matrix()['operation.report-cpu-traits']['driver.docker'])
        self.assertIn(os_traits.HW_CPU_X86_SSE2,
                      processor.traits(fields.Architecture.X86_64))

    def test_only_what_is_partial_needs_to_be_explained(self) -> None:
        matrix = _matrix()
        for section in OPERATIONS:
            operation = matrix[f'operation.{section}']
            if operation['driver.docker'] == 'partial':
                self.assertRegex(
                    operation.get('driver-notes.docker', ''), r'\w')
