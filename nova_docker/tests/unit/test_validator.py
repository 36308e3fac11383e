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

"""The flavor extra-spec validators that Nova's API loads."""

from __future__ import annotations

from importlib import metadata

import ddt
from nova.api.validation.extra_specs import base as nova_validators

from nova import exception
from nova_docker import settings
from nova_docker.tests import base
from nova_docker import validator

_GOOD = {
    'docker:runtime': 'runsc', 'docker:privileged': 'true',
    'docker:cap_add': 'NET_ADMIN, SYS_TIME', 'docker:cap_drop': 'MKNOD',
    'docker:security_opt': 'seccomp=unconfined,no-new-privileges',
    'docker:pids_limit': '0', 'docker:shm_size': '1',
    'docker:read_only': 'no', 'docker:ulimit_nofile': '64:-1',
    'docker:ulimit_core': '-1', 'docker:sysctl_kernel.msgmax': '1',
    'docker:device_12': '/dev/fuse:/dev/my fuse:rw',
}


def _find(key: str) -> nova_validators.ExtraSpecValidator | None:
    """Return the validator of a key, found as Nova's API finds it."""
    for each in validator.register():
        try:
            each.validate(key, '')
        except exception.ValidationError as error:
            if 'expected a name of format' in str(error):
                continue
        return each
    return None


@ddt.ddt
class ValidatorTestCase(base.TestCase):
    def test_nova_finds_them(self) -> None:
        found = metadata.EntryPoint(
            'docker', 'nova_docker.validator',
            'nova.api.extra_spec_validators').load()
        self.assertTrue(all(
            isinstance(each, nova_validators.ExtraSpecValidator)
            for each in found.register()))

    @ddt.data(*_GOOD.items())
    @ddt.unpack
    def test_good_value(self, key: str, value: str) -> None:
        """What the API takes, the driver can use."""
        found = _find(key)
        assert found is not None
        found.validate(key, value)
        settings.privileges({key: value})

    @ddt.data(
        ('docker:runtime', 'a b'), ('docker:runtime', ''),
        ('docker:privileged', 'perhaps'), ('docker:cap_add', 'NET-ADMIN'),
        ('docker:cap_add', ''), ('docker:cap_drop', 'ALL,'),
        ('docker:cap_add', 'NET_ADMIN,NET_ADMINS'),
        ('docker:security_opt', ''), ('docker:pids_limit', '-1'),
        ('docker:pids_limit', 'many'), ('docker:shm_size', '0'),
        ('docker:read_only', '2'), ('docker:ulimit_nofile', '1:'),
        ('docker:sysctl_kernel.msgmax', ''),
        ('docker:device_0', '/etc/passwd'),
        ('docker:device_0', '/dev/fuse:'),
        ('docker:device_0', '/dev/fuse:/dev/fuse:rr'))
    @ddt.unpack
    def test_bad_value(self, key: str, value: str) -> None:
        """What the driver can't use, the API does not take."""
        found = _find(key)
        assert found is not None
        self.assertRaises(exception.ValidationError, found.validate, key,
                          value)
        self.assertRaises(exception.Invalid, settings.privileges,
                          {key: value})

    @ddt.data('docker:nonsense', 'docker:ulimit_nosuch', 'docker:device_x',
              'docker:ulimit_', 'docker:sysctl_', 'docker:')
    def test_unknown_key(self, key: str) -> None:
        self.assertIsNone(_find(key))
        self.assertRaises(exception.Invalid, settings.privileges,
                          {key: '1'})

    def test_every_key_is_judged_here(self) -> None:
        judged = {each.name.partition('{')[0] for each in validator.register()}
        self.assertEqual({*settings._FLAVOR, *settings._FLAVOR_FAMILIES},
                         judged)

    def test_every_key_says_what_it_is_for(self) -> None:
        for each in validator.register():
            self.assertRegex(each.description, r'^[A-Z].*\.$')
