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

"""How a root file system is run."""

from __future__ import annotations

import json
from typing import Any

import ddt
from oslotest import base

from nova_docker import errors
from nova_docker import names
from nova_docker.rootvolume import description
from nova_docker.rootvolume import layout

_BODY: dict[str, Any] = {'Image': 'any', 'Labels': {'mine': 'yes'},
                         'HostConfig': {'Mounts': []}}


@ddt.ddt
class DescriptionTestCase(base.BaseTestCase):
    def test_it_is_what_the_image_had(self) -> None:
        config = {'Cmd': ['a'], 'Env': ['A=b'], 'User': 'me'}
        text = description.of_image({'Config': {
            **config, 'Volumes': {'/data': {}}, 'Entrypoint': None,
            'Labels': {'a': 'b'}, 'Healthcheck': {'Test': ['CMD', 'a']}}})
        self.assertEqual(config, description.parse(text))

    def test_a_health_check_is_ignored(self) -> None:
        """An older driver kept it with the others."""
        self.assertEqual({'Cmd': ['a']}, description.parse(
            b'{"format": 1, "config": {"Cmd": ["a"],'
            b' "Healthcheck": {"Test": ["CMD", "a"]}}}'))

    @ddt.data(b'', b'\xff', b'[]', b'{}', b'{"format": 2, "config": {}}',
              b'{"format": 1}', b'{"format": 1, "config": {"Cmd": "a"}}',
              b'{"format": 1, "config": {"Cmd": [1]}}',
              b'{"format": 1, "config": {"User": 0}}',
              b'{"format": 1, "config": {"HostConfig": {}}}',
              b'[' * description.LIMIT)
    def test_anything_else_is_none(self, text: bytes) -> None:
        self.assertRaises(ValueError, description.parse, text)


@ddt.ddt
class ApplyTestCase(base.BaseTestCase):
    def applied(self, config: dict[str, Any],
                **body: Any) -> dict[str, Any]:
        return description.Root(
            '/point/root', config, 'me:x:7:8::/home/me:\n',
            'mine:x:8:\nalso:x:9:me\n').apply({**_BODY, **body})

    def test_the_volume_is_the_root(self) -> None:
        body = self.applied({'Cmd': ['run'], 'StopSignal': 'SIGINT'})
        self.assertEqual(names.GATE_IMAGE, body['Image'])
        self.assertEqual((['/gate'], ['run']),
                         (body['Entrypoint'], body['Cmd']))
        self.assertEqual('/point/root', layout.source(body))
        self.assertEqual('SIGINT', body['StopSignal'])
        self.assertEqual('yes', body['Labels']['mine'])

    @ddt.data(
        # Image's entry point and command, those asked for, and what runs.
        (['e'], ['c'], None, None, ['e', 'c']),
        (['e'], ['c'], None, ['d'], ['e', 'd']),
        (['e'], ['c'], ['f'], None, ['f']),
        (['e'], ['c'], ['f'], ['d'], ['f', 'd']),
        (['e'], ['c'], [''], ['d'], ['d']),
        (['e'], ['c'], [], None, ['c']),
        (None, ['c'], None, None, ['c']))
    @ddt.unpack
    def test_the_command(self, entrypoint: Any, cmd: Any, asked: Any,
                         rest: Any, expected: list[str]) -> None:
        body = self.applied(
            {key: value for key, value in (('Entrypoint', entrypoint),
                                           ('Cmd', cmd)) if value},
            **{key: value for key, value in (('Entrypoint', asked),
                                             ('Cmd', rest))
               if value is not None})
        self.assertEqual(expected, body['Cmd'])

    def test_nothing_to_run(self) -> None:
        self.assertRaises(errors.EngineBadRequest, self.applied, {})

    def test_the_user(self) -> None:
        body = self.applied({'Cmd': ['run'], 'User': 'me'})
        self.assertEqual('7:8', body['User'])
        self.assertEqual(['9'], body['HostConfig']['GroupAdd'])
        self.assertIn('HOME=/home/me', body['Env'])
        self.assertEqual('0:0', self.applied(
            {'Cmd': ['run'], 'User': 'me'}, User='0')['User'])

    def test_the_environment(self) -> None:
        body = self.applied({'Cmd': ['run'], 'Env': ['A=image', 'B=image']},
                            Env=['B=asked', 'HOME=/here'])
        self.assertLess({'A=image', 'B=asked', 'HOME=/here'},
                        set(body['Env']))
        self.assertIn('/usr/bin', layout.search_path(
            layout.variables(body['Env'])))

    def test_the_working_directory(self) -> None:
        config = {'Cmd': ['run'], 'WorkingDir': '/image'}
        for asked, expected in (({}, '/image'),
                                ({'WorkingDir': '/asked'}, '/asked')):
            body = self.applied(config, **asked)
            self.assertEqual('/', body['WorkingDir'])
            self.assertEqual(expected, layout.workdir({'Config': body}))

    def test_what_is_kept_can_be_read(self) -> None:
        json.dumps(self.applied({'Cmd': ['run']}))


class LayoutTestCase(base.BaseTestCase):
    def test_a_container_without_a_volume(self) -> None:
        container = {
            'Path': 'sh', 'Args': ['-c', 'a'],
            'Config': {'WorkingDir': '', 'Labels': None,
                       'Env': ['A=b=c', 'PATH=/x:/y']},
            'HostConfig': {'Mounts': None}}
        self.assertIsNone(layout.source(container))
        self.assertEqual(['sh', '-c', 'a'], layout.command(container))
        self.assertEqual('/', layout.workdir(container))
        self.assertEqual({'A': 'b=c', 'PATH': '/x:/y'},
                         layout.environment(container))
        self.assertEqual(['/x', '/y'], layout.search_path(
            layout.environment(container)))

    def test_the_gate_is_no_command(self) -> None:
        self.assertEqual(['sh', '-i'], layout.command(
            {'Path': '/gate', 'Args': ['sh', '-i']}))
