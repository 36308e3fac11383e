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

"""What is mounted, as this process sees it."""

from collections.abc import Iterator
import dataclasses
import os
import pathlib
import re

_TABLE = pathlib.Path('/proc/self/mountinfo')
#: White space and backslashes are written so.
_ESCAPED = re.compile(r'\\([0-7]{3})')


@dataclasses.dataclass(frozen=True)
class Mount:
    """A mount point.

    :param shared: mounts below it appear wherever it is bound to as well
    :param source: the device, for one that is on a device
    :param options: of this mount alone, not of the file system
    :param number: of the file system's device, as ``major:minor``
    :param identity: the kernel's number of this mount
    """

    point: str
    shared: bool
    fstype: str
    source: str
    options: tuple[str, ...]
    number: str = ''
    identity: str = ''

    @property
    def device(self) -> str:
        """The device's own path; device mapper's are mounted by a link."""
        return os.path.realpath(self.source)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written by way of it."""
        return 'ro' in self.options


def mounts(table: pathlib.Path | None = None) -> Iterator[Mount]:
    """Yield every mount, the last mounted last.

    No file system is touched: that of a server that is away would hang.

    :param table: of another process
    """
    # The name of a place may have any of what else could end a line.
    text = os.fsdecode((table or _TABLE).read_bytes())
    # A process whose root is below all mounts has an empty table.
    for line in filter(None, text.split('\n')):
        # https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo
        before, _separator, after = line.partition(' - ')
        fields = before.split(' ')
        fstype, source, _options = after.split(' ', 2)
        yield Mount(
            _plain(fields[4]),
            any(field.startswith('shared:') for field in fields[6:]),
            fstype, _plain(source), tuple(fields[5].split(',')),
            fields[2], fields[0])


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def find(point: str) -> Mount | None:
    """Return what is mounted at a path; the uppermost if more is."""
    found = [mount for mount in mounts() if mount.point == point]
    return found[-1] if found else None


def below(directory: str) -> list[str]:
    """Return the mount points below a directory, the last mounted first."""
    return [mount.point for mount in mounts()
            if mount.point.startswith(f'{directory}/')][::-1]
