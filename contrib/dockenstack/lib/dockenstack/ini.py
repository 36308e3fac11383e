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

"""Write configuration files of OpenStack and uWSGI."""

from collections.abc import Mapping
import configparser
import pathlib

from dockenstack.host import users
from dockenstack import shell

Value = str | int | float | bool | pathlib.Path
Sections = Mapping[str, Mapping[str, Value]]


def text(sections: Sections) -> str:
    parts = []
    for name, options in sections.items():
        lines = [f'{key} = {_word(value)}' for key, value in options.items()]
        parts.append('\n'.join([f'[{name}]', *lines]))
    return '\n\n'.join(parts) + '\n'


def overridden(sections: Sections, path: pathlib.Path) -> Sections:
    """Return the options with those of a user's file over them.

    :param path: of a file that may be absent
    :raises Failure: if the file can't be understood
    """
    theirs = configparser.ConfigParser(
        default_section='', delimiters=('=',), interpolation=None)
    theirs.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        theirs.read(path)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise shell.Failure(f'{path} is no configuration file: {error}'
                            ) from error
    given = {name: dict(theirs[name]) for name in theirs.sections()}
    return {name: {**sections.get(name, {}), **given.get(name, {})}
            for name in (*sections, *given)}


def write(path: pathlib.Path, sections: Sections) -> pathlib.Path:
    """Write a file that the services may read and others may not."""
    shell.write(path, text(sections), 0o640, users.group_id())
    return path


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
