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

"""PURE: who a user of an image is, in numbers.

The engine looks for names in the image that it starts, which has none where
the root is a volume.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from nova_docker import errors

#: What a number of 32 bits has at most.
_DIGITS = 10


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a process runs as.

    :param groups: further ones
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(user: str, passwd: str, group: str) -> Identity:
    """Return who a user is, as the engine itself would say.

    :param user: a name or a number, with or without a group behind a colon;
        empty is root
    :param passwd: the text of /etc/passwd
    :param group: the text of /etc/group
    :raises EngineBadRequest: there is nobody by that name
    """
    wanted, _colon, wanted_group = user.partition(':')
    wanted = wanted or '0'
    name, uid, gid, home = _account(wanted, passwd)
    if wanted_group:
        return Identity(uid, _group(wanted_group, group), (), home)
    return Identity(uid, gid, tuple(
        number for _name, number, members in _groups(group)
        if name and name in members and number != gid), home)


def _account(wanted: str, passwd: str) -> tuple[str, int, int, str]:
    for found in _accounts(passwd):
        if wanted in (found[0], str(found[1])):
            return found
    if not _is_number(wanted):
        raise errors.EngineBadRequest(
            f"there is no user '{wanted}' on the volume")
    return '', int(wanted), 0, '/'


def _group(wanted: str, group: str) -> int:
    for name, number, _members in _groups(group):
        if wanted in (name, str(number)):
            return number
    if not _is_number(wanted):
        raise errors.EngineBadRequest(
            f"there is no group '{wanted}' on the volume")
    return int(wanted)


def _accounts(passwd: str) -> Iterator[tuple[str, int, int, str]]:
    for fields in _lines(passwd, 6):
        if _is_number(fields[2]) and _is_number(fields[3]):
            yield fields[0], int(fields[2]), int(fields[3]), fields[5]


def _groups(group: str) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(group, 4):
        if _is_number(fields[2]):
            yield fields[0], int(fields[2]), fields[3].split(',')


def _is_number(text: str) -> bool:
    # Python refuses to look at a very long one.
    return len(text) <= _DIGITS and text.isascii() and text.isdecimal()


def _lines(text: str, least: int) -> Iterable[list[str]]:
    found = (line.strip().split(':') for line in text.splitlines())
    return (fields for fields in found if len(fields) >= least)
