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

"""Commands that an image has, and those that it has not."""

from __future__ import annotations

import ddt

from nova_docker import errors
from nova_docker.instances import command
from nova_docker.tests.functional import base

_FILES = (
    base.program('opt/tool', 'echo tool'),
    base.Entry('opt/text', 'echo tool', mode=0o644),
    base.Entry('opt/others', '#!/bin/sh\necho tool', mode=0o601),
    base.directory('opt/dir'),
    base.symlink('opt/absolute', '/opt/tool'),
    base.symlink('opt/relative', '../opt/./tool'),
    base.symlink('opt/twice', 'relative'),
    base.symlink('opt/dangling', '/opt/nothing'),
    base.symlink('opt/loop', 'loop'),
    base.symlink('opt/up', '../../../../../../opt/tool'),
    base.symlink('opt/to-text', 'text'),
    base.symlink('opt/to-dir', 'dir'),
    # As where /bin is a link to /usr/bin.
    base.symlink('other', 'real/deep'),
    base.program('real/lib/tool', 'echo tool'),
    base.symlink('real/deep/through', '../lib/tool'),
)


@ddt.ddt
class CommandTestCase(base.EngineTestCase):
    def made(self, program: str, *changes: str) -> str:
        return self.create(
            self.make_instance(metadata={'docker:command': program}),
            self.make_image(*_FILES, changes=changes))

    @ddt.data('/opt/tool', '/opt/others', '/opt/absolute', '/opt/relative',
              '/opt/twice', '/opt/up', '/other/through', '/bin/sh', 'sh',
              '/opt/../opt/tool')
    def test_there(self, program: str) -> None:
        name = self.made(program)
        command.check(self.engine, name)
        self.engine.start(name)

    @ddt.data('/opt/nothing', '/nowhere/tool', '/opt/text', '/opt/dir',
              '/opt/dangling', '/opt/loop', '/opt/to-text', '/opt/to-dir',
              '/opt/tool/tool', 'tool', 'nothing', './sh', 'opt')
    def test_not_there(self, program: str) -> None:
        error = self.assertRaises(errors.EngineBadRequest, command.check,
                                  self.engine, self.made(program))
        self.assertIn(f"'{program}'", error.message)

    def test_in_the_images_path(self) -> None:
        command.check(self.engine, self.made(
            'tool', 'ENV PATH=/nowhere:/opt'))
        self.assertRaises(
            errors.EngineBadRequest, command.check, self.engine,
            self.made('sh', 'ENV PATH=/nowhere:/opt'))

    def test_a_long_path_is_left_to_the_start(self) -> None:
        directories = ':'.join(f'/{number}' for number in range(65))
        command.check(self.engine, self.made(
            'nothing', f'ENV PATH={directories}'))
        self.assertRaises(
            errors.EngineBadRequest, command.check, self.engine,
            self.made('tool', f"ENV PATH={'/nowhere:' * 65}/nowhere"))

    def test_from_the_working_directory(self) -> None:
        command.check(self.engine, self.made('./tool', 'WORKDIR /opt'))
        command.check(self.engine, self.made('opt/tool'))

    def test_the_images_entrypoint_comes_first(self) -> None:
        command.check(self.engine, self.made(
            'argument', 'ENTRYPOINT ["/opt/tool"]'))
        self.assertRaises(
            errors.EngineBadRequest, command.check, self.engine,
            self.made('sh', 'ENTRYPOINT ["/opt/nothing"]'))
