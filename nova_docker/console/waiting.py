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

"""Waits for descriptors, whatever the threads of nova-compute are.

Nova 34 has native threads. Nova 31 has eventlet's, and 32 and 33 have them by
default: eventlet takes select.poll away, and its select.select lets the other
threads run.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import select


def ready(interests: Mapping[int, int],
          timeout: float | None) -> dict[int, int]:
    """Wait; return what is ready by file descriptor.

    :param interests: POLLIN, POLLOUT, both or 0 by file descriptor. 0 tells
        of an end, but not in eventlet's threads
    :param timeout: seconds; None is for ever
    """
    if not hasattr(select, 'poll'):
        return _selected(interests, timeout)
    poll = select.poll()
    for descriptor, events in interests.items():
        poll.register(descriptor, events)
    return dict(poll.poll(
        None if timeout is None else math.ceil(timeout * 1000)))


def _selected(interests: Mapping[int, int],
              timeout: float | None) -> dict[int, int]:
    readable, writable, _failed = select.select(
        _asking(interests, select.POLLIN), _asking(interests, select.POLLOUT),
        [], timeout)
    return {each: (select.POLLIN * (each in readable)
                   | select.POLLOUT * (each in writable))
            for each in {*readable, *writable}}


def _asking(interests: Mapping[int, int], event: int) -> list[int]:
    return [each for each, events in interests.items() if events & event]
