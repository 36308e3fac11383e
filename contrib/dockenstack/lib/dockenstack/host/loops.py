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

"""Loop devices of files below a directory."""

import pathlib

from dockenstack import shell


def below(directory: pathlib.Path) -> list[str]:
    """The loop devices whose files are below a directory."""
    listed = shell.read('losetup', '--list', '--noheadings', '--raw',
                        '--output', 'NAME,BACK-FILE')
    found = [line.partition(' ') for line in listed.splitlines()]
    # The kernel knows no symbolic links in the paths of files.
    return [name for name, _, path in found
            if path.startswith(f'{directory.resolve()}/')]


def detach_below(directory: pathlib.Path) -> None:
    """Detach them. May be called again."""
    for name in below(directory):
        shell.run('losetup', '--detach', name, check=False)
