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

"""The keys of images, tenants and operators."""

from __future__ import annotations

import ddt

from nova_docker import errors
from nova_docker import settings
from nova_docker.tests import base


def image(**properties: str) -> dict[str, str]:
    """Return the system metadata of an instance of an image."""
    return {f'image_{name}': value for name, value in properties.items()}


@ddt.ddt
class WorkloadTestCase(base.TestCase):
    def test_nothing_asked(self) -> None:
        asked = settings.workload({}, {})
        self.assertEqual(settings.Workload(), asked)
        self.assertTrue(asked.tty)
        self.assertTrue(asked.init)

    def test_image_properties(self) -> None:
        asked = settings.workload({}, image(
            os_command_line='serve --port "80 81"',
            docker_entrypoint='["/bin/tool", "a b"]',
            docker_workdir='/srv', docker_user='web:www',
            docker_tty='no', docker_init='False',
            docker_stop_signal='SIGQUIT',
            docker_env_PATH='/bin', docker_env_EMPTY=''))
        self.assertEqual(settings.Workload(
            command=['serve', '--port', '80 81'],
            entrypoint=['/bin/tool', 'a b'], workdir='/srv', user='web:www',
            tty=False, init=False, stop_signal='SIGQUIT',
            env={'PATH': '/bin', 'EMPTY': ''}), asked)

    def test_places_of_volumes(self) -> None:
        asked = settings.workload(
            {'docker:volume:data': '/srv//db/'},
            image(docker_volume_data='/theirs', docker_volume_log='/log'))
        self.assertEqual({
            'data': settings.Place('/srv/db', True, 'docker:volume:data'),
            'log': settings.Place('/log', False, 'docker_volume_log'),
        }, asked.volumes)

    @ddt.data(('a/b', '/srv'), ('..', '/srv'), ('', '/srv'), ('a', 'srv'),
              ('a', '/'), ('a', '/proc/x'), ('a', '/srv/../sys'),
              ('a', '/volumes'), ('a', '/dev'), ('a', '//dev'),
              ('a', '/.root'))
    @ddt.unpack
    def test_no_place_for_a_volume(self, tag: str, path: str) -> None:
        error = self.assertRaises(errors.BadSetting, settings.workload,
                                  {f'docker:volume:{tag}': path}, {})
        self.assertIn(f'docker:volume:{tag}', str(error))

    def test_server_metadata_wins_over_the_image(self) -> None:
        asked = settings.workload(
            {'docker:command': 'mine', 'docker:entrypoint': '/my/tool',
             'docker:workdir': '/mine', 'docker:user': '7',
             'docker:tty': 'true', 'docker:env:A': 'mine',
             'role': 'not for us'},
            image(os_command_line='theirs', docker_entrypoint='/their/tool',
                  docker_workdir='/theirs', docker_user='them',
                  docker_tty='false', docker_env_A='theirs',
                  docker_env_B='theirs'))
        self.assertEqual(settings.Workload(
            command=['mine'], entrypoint=['/my/tool'], workdir='/mine',
            user='7', tty=True, env={'A': 'mine', 'B': 'theirs'}), asked)

    def test_what_else_an_image_has_is_none_of_our_business(self) -> None:
        self.assertEqual(settings.Workload(), settings.workload(
            {}, {**image(hw_vif_model='virtio', os_distro='debian'),
                 'image_min_disk': '1', 'docker_user': 'not an image key'}))

    def test_a_value_that_nova_has_cut(self) -> None:
        """Nova keeps 255 bytes of a property; half a command is another."""
        error = self.assertRaises(
            errors.BadSetting, settings.workload, {},
            image(os_command_line='x' * 255, os_distro='y' * 255))
        self.assertIn("Image property 'os_command_line'", str(error))

    def test_an_unset_image_property_is_the_images_default(self) -> None:
        self.assertEqual(settings.Workload(), settings.workload(
            {}, image(os_command_line='', docker_user='')))

    @ddt.data(
        ('docker_entrypoint', '["/bin/tool"', 'Expecting'),
        ('docker_entrypoint', '["/bin/tool", 1]', 'something else'),
        ('os_command_line', 'sh -c "never closed', 'No closing quotation'),
        ('docker_workdir', 'srv', 'absolute path'),
        ('docker_user', 'a b', "'user' or 'user:group'"),
        ('docker_user', 'root:', "'user' or 'user:group'"),
        ('docker_tty', 'maybe', 'maybe'),
        ('docker_init', '2', '2'),
        ('docker_stop_signal', 'SIGNOTHING', 'is not a signal'),
        ('docker_stop_signal', '0', 'is not a signal'),
        ('docker_stop_signal', '65', 'is not a signal'),
        ('docker_stop_signal', 'sigterm', 'is not a signal'),
        ('docker_stop_signal', 'SIGRTMIN+31', 'is not a signal'),
        ('docker_env_9A', 'value', 'environment variable'),
        ('docker_env_A', 'a\0b', 'NUL'),
        ('os_command_line', 'a\0b', 'NUL'),
        ('docker_env_', 'value', 'environment variable'),
        ('docker_command', 'sh', 'no such key; there are docker_entrypoint'),
        ('docker_privileged', 'true', 'os_command_line'),
        ('docker_', '', 'no such key'))
    @ddt.unpack
    def test_bad_image_property(self, key: str, value: str,
                                reason: str) -> None:
        error = self.assertRaises(errors.BadSetting, settings.workload, {},
                                  image(**{key: value}))
        self.assertIn(f"Image property '{key}'", str(error))
        self.assertIn(reason, str(error))

    @ddt.data(
        ('docker:command', '["a", {}]', 'something else'),
        ('docker:workdir', './x', 'absolute path'),
        ('docker:user', '-x', "'user' or 'user:group'"),
        ('docker:tty', '', 'Unrecognized value'),
        ('docker:env:A-B', 'value', 'environment variable'),
        ('docker:privileged', 'true', 'no such key'),
        ('docker:init', 'false', 'no such key'),
        ('docker:', 'x', 'no such key'))
    @ddt.unpack
    def test_bad_server_metadata(self, key: str, value: str,
                                 reason: str) -> None:
        error = self.assertRaises(errors.BadSetting, settings.workload,
                                  {key: value}, {})
        self.assertIn(f"Server metadata '{key}'", str(error))
        self.assertIn(reason, str(error))

    @ddt.data('net_admin', 'CAP_NET_ADMIN', 'ALL')
    def test_a_capability_as_the_engine_takes_it(self, name: str) -> None:
        self.assertEqual([name], settings.privileges(
            {'docker:cap_add': name}).cap_add)

    @ddt.data('SIGTERM', 'HUP', '15', 'SIGRTMIN+3', 'RTMAX-1', 'SIGRTMIN')
    def test_stop_signal(self, value: str) -> None:
        asked = settings.workload({}, image(docker_stop_signal=value))
        self.assertEqual(value, asked.stop_signal)

    def test_an_empty_entrypoint_is_none_at_all(self) -> None:
        """As with docker run, it takes the image's entrypoint away."""
        asked = settings.workload({'docker:entrypoint': ''}, {})
        self.assertEqual([], asked.entrypoint)


@ddt.ddt
class PrivilegesTestCase(base.TestCase):
    def test_nothing_granted(self) -> None:
        self.assertEqual(settings.Privileges(), settings.privileges(
            {'hw:cpu_policy': 'shared', 'quota:cpu_shares': '10'}))

    def test_everything_granted(self) -> None:
        self.assertEqual(settings.Privileges(
            runtime='runsc', privileged=True,
            cap_add=['NET_ADMIN', 'SYS_TIME'],
            cap_drop=['MKNOD'], security_opt=['seccomp=unconfined'],
            pids_limit=0, shm_size=128, read_only=True,
            ulimits={'nofile': settings.Ulimit(64, 128),
                     'core': settings.Ulimit(-1, -1)},
            sysctls={'net.core.somaxconn': '1024'},
            devices={'0': settings.Device('/dev/fuse', '/dev/fuse', 'rwm'),
                     '1': settings.Device('/dev/sda', '/dev/disk', 'r')},
        ), settings.privileges({
            'docker:runtime': 'runsc', 'docker:privileged': 'yes',
            'docker:cap_add': 'NET_ADMIN, SYS_TIME',
            'docker:cap_drop': 'MKNOD',
            'docker:security_opt': 'seccomp=unconfined',
            'docker:pids_limit': '0', 'docker:shm_size': '128',
            'docker:read_only': '1', 'docker:ulimit_nofile': '64:128',
            'docker:ulimit_core': '-1',
            'docker:sysctl_net.core.somaxconn': '1024',
            'docker:device_0': '/dev/fuse',
            'docker:device_1': '/dev/sda:/dev/disk:r'}))

    @ddt.data(
        ('docker:runtime', 'a b', 'a runtime'),
        ('docker:privileged', 'perhaps', 'perhaps'),
        ('docker:cap_add', 'NET-ADMIN', 'a capability'),
        ('docker:cap_drop', 'ALL;', 'a capability'),
        ('docker:cap_add', '', 'a capability'),
        ('docker:cap_add', 'CHOWN,NET_ADMINS', "'NET_ADMINS' is not"),
        ('docker:pids_limit', '-1', '0 or more'),
        ('docker:pids_limit', 'many', 'a number of processes'),
        ('docker:shm_size', '0', 'a number of MiB, 1 or more'),
        ('docker:shm_size', '64m', 'a number of MiB'),
        ('docker:read_only', '', 'Unrecognized'),
        ('docker:ulimit_nofile', '10:', "'soft' or 'soft:hard'"),
        ('docker:ulimit_nofile', '20:10', 'soft'),
        ('docker:ulimit_nofile', '-1:10', 'soft'),
        ('docker:ulimit_nosuch', '10', 'no such key'),
        ('docker:ulimit_', '10', 'no such key'),
        ('docker:sysctl_', '10', 'no such key'),
        ('docker:sysctl_kernel.msgmax', '', 'empty'),
        ('docker:device_a', '/dev/fuse', 'no such key'),
        ('docker:device_0', '/etc/passwd', '/dev/NAME'),
        ('docker:device_0', '/dev/../etc', '/dev/NAME'),
        ('docker:device_0', '/dev/fuse:/dev/fuse:x', '/dev/NAME'),
        ('docker:device_0', '/dev/fuse:/dev/fuse:rr', '/dev/NAME'),
        ('docker:device_0', '/dev/fuse:', '/dev/NAME'),
        ('docker:command', 'sh', 'no such key'))
    @ddt.unpack
    def test_bad_flavor_key(self, key: str, value: str, reason: str) -> None:
        error = self.assertRaises(errors.BadSetting, settings.privileges,
                                  {key: value})
        self.assertIn(f"Flavor key '{key}'", str(error))
        self.assertIn(reason, str(error))
