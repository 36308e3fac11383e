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

"""Flavor extra-spec validators, for nova-api.

Nova loads this module through the entry point group
``nova.api.extra_spec_validators`` and then refuses a wrong ``docker:`` key
when the flavor is made, not when a server boots.
"""

from nova.api.validation.extra_specs import base

from nova_docker import settings


def _text(name: str, description: str,
          pattern: str = r'.+') -> base.ExtraSpecValidator:
    return base.ExtraSpecValidator(
        name=name, description=description,
        value={'type': str, 'pattern': pattern})


def _family(stem: str, names: str, description: str,
            pattern: str = r'.+') -> base.ExtraSpecValidator:
    return base.ExtraSpecValidator(
        name=f'docker:{stem}_{{name}}', description=description,
        value={'type': str, 'pattern': pattern},
        parameters=[{'name': 'name', 'pattern': names}])


def _number(name: str, description: str,
            least: int) -> base.ExtraSpecValidator:
    return base.ExtraSpecValidator(
        name=name, description=description,
        value={'type': int, 'min': least})


def _boolean(name: str, description: str) -> base.ExtraSpecValidator:
    return base.ExtraSpecValidator(name=name, description=description,
                                   value={'type': bool})


def register() -> list[base.ExtraSpecValidator]:
    """Return the validators of the ``docker`` namespace."""
    names = rf'{settings.CAPABILITY}(\s*,\s*{settings.CAPABILITY})*'
    return [
        _text('docker:runtime', 'OCI runtime of the engine to run the '
              'container with.', r'[\w.-]+'),
        _boolean('docker:privileged', 'Give the container every privilege '
                 'on the host. For trusted workloads only.'),
        _text('docker:cap_add', 'Capabilities to add, separated by commas.',
              names),
        _text('docker:cap_drop', 'Capabilities to drop, separated by '
              'commas.', names),
        _text('docker:security_opt', 'Security options of the engine, '
              'separated by commas.'),
        _number('docker:pids_limit', 'Processes and threads at a time; 0 is '
                'no limit.', 0),
        _number('docker:shm_size', 'Size of /dev/shm in MiB.', 1),
        _boolean('docker:read_only', 'Mount the root file system '
                 'read-only.'),
        _family('ulimit', '|'.join(settings.ULIMITS),
                "A resource limit, as 'soft' or 'soft:hard'.",
                r'(-1|\d+)(:(-1|\d+))?'),
        _family('sysctl', r'[a-z0-9_.-]+',
                "A kernel parameter of the container's namespaces."),
        _family('device', r'\d+',
                'A host device, as /dev/NAME[:PATH[:rwm]].',
                r'/dev/[^:]+(:/[^:]+)?(:(?=.)r?w?m?)?'),
    ]
