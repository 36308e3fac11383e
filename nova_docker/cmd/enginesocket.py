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

"""What keeps a user from the engine's socket, and how that is mended."""

from __future__ import annotations

import grp
import os
import pwd


def trouble(url: str, option: str, afterwards: str) -> str:
    """Return a sentence about a socket that this user can't open.

    :param url: of the engine, as ``unix:///path``
    :param option: what gives it, for who finds it wrong
    :param afterwards: what makes a change of groups count
    :returns: nothing if the user may open it
    """
    path = url.removeprefix('unix://')
    try:
        group_id = os.stat(path).st_gid
    except OSError as error:
        return (f'There is no socket at {path} ({error.strerror}): start '
                f'Docker Engine, or set {option}.')
    if os.access(path, os.R_OK | os.W_OK):
        return ''
    user = user_name()
    try:
        group = grp.getgrgid(group_id)
    except KeyError:
        return (f'{user} may not open {path}, which belongs to group '
                f'{group_id}, and that has no name here: give it one '
                f'("groupadd --gid {group_id}"), add the user to it, and '
                f'{afterwards}.')
    if user in group.gr_mem:
        return (f'{user} is in the group {group.gr_name} since this session '
                f'began: {afterwards}.')
    return (f'{user} may not open {path}: "usermod --append --groups '
            f'{group.gr_name} {user}", and {afterwards}.')


def user_name() -> str:
    """Return the name of this user, or the number where there is none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f'user {os.geteuid()}'
