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

"""How much volumes are used, as the kernel counts it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import os
import pathlib
import stat
from typing import Any

from oslo_log import log as logging

from nova import objects
from nova_docker.volumes import connector
from nova_docker.volumes import records

LOG = logging.getLogger(__name__)

_COUNTERS = pathlib.Path('/sys/dev/block')
#: Bytes, whatever the device has.
#: https://docs.kernel.org/block/stat.html
_SECTOR = 512


class Usage:
    """Reads the counters of volumes' devices, since they were connected.

    :param kept: the records of what is connected
    """

    def __init__(self, kept: records.Records) -> None:
        self._records = kept

    def all(self, servers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the figures of every volume, as Nova stores them.

        :param servers: instances and their block device mappings
        """
        return [figures for each in servers
                for figures in self._of_instance(each['instance'])]

    def of_device(self, instance: objects.Instance, device: str
                  ) -> list[int] | None:
        """Return reads, bytes read, writes, bytes written, and no errors.

        :param device: as ``vdb``
        :returns: None if there are no figures: Nova asks before each
            detachment, of a file on a share and of what is gone as well
        """
        for record in self._records.of_instance(instance.uuid):
            found = _counters(record)
            if record.device == device and found is not None:
                return [*found, 0]
        LOG.info('There are no figures of the use of %s.', device,
                 instance=instance)
        return None

    def _of_instance(self, instance: objects.Instance
                     ) -> Iterator[dict[str, Any]]:
        for record in self._records.of_instance(instance.uuid):
            found = _counters(record)
            if found is not None:
                yield {'volume': record.volume, 'instance': instance,
                       **dict(zip(('rd_req', 'rd_bytes', 'wr_req',
                                   'wr_bytes'), found, strict=True))}


def _counters(record: records.Record) -> tuple[int, int, int, int] | None:
    """Return reads, bytes read, writes and bytes written; None if gone.

    A file on a share has no counters of its own.
    """
    path = record.path or ''
    if connector.is_on_share(path):
        return None
    try:
        found = os.stat(path)
        if not stat.S_ISBLK(found.st_mode):
            return None
        number = f'{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}'
        fields = (_COUNTERS / number / 'stat').read_text().split()
    except FileNotFoundError:
        return None
    return (int(fields[0]), int(fields[2]) * _SECTOR,
            int(fields[4]), int(fields[6]) * _SECTOR)
