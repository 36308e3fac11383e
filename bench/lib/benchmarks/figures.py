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

"""Figures: how they are taken, and how they are shown."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import statistics
import time


def seconds(act: Callable[[], object]) -> float:
    """Return how long an act takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def seconds_together(acts: Sequence[Callable[[], object]]) -> float:
    """Return how long acts take, begun together, until the last is done."""
    with futures.ThreadPoolExecutor(len(acts)) as threads:
        return seconds(lambda: [each.result() for each in
                                [threads.submit(act) for act in acts]])


@contextlib.contextmanager
def counted(owner: type, names: Mapping[str, str]) -> Iterator[list[str]]:
    """Count the calls of an owner's methods as long as this lasts.

    :param names: what to count a method's calls as
    Yields a list that grows by a name with each call.
    """
    calls: list[str] = []

    def counting(method: Callable[..., object],
                 name: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            calls.append(name)
            return method(*args, **kwargs)
        return call

    originals = {each: getattr(owner, each) for each in names}
    for each, original in originals.items():
        setattr(owner, each, counting(original, names[each]))
    try:
        yield calls
    finally:
        for each, original in originals.items():
            setattr(owner, each, original)


def median(samples: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text; a float is a number of seconds."""
    texts = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return '\n'.join(
        '  '.join([row[0].ljust(widths[0]),
                   *(cell.rjust(width) for cell, width
                     in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in texts)


def _text(cell: object) -> str:
    return f'{cell:.3f}' if isinstance(cell, float) else str(cell)
