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

"""Remember what has been completed, and for which input."""

import pathlib

from dockenstack.settings import Home
from dockenstack import shell


class Stamp:
    """A file that is there only once its work is whole.

    Half-done work has no stamp, so that after a power cut it is done again
    from its beginning.
    """

    def __init__(self, home: Home, name: str):
        self.path: pathlib.Path = home.stamps / name

    def holds(self, value: str = 'done') -> bool:
        return self.exists() and self.path.read_text() == value

    def exists(self) -> bool:
        return self.path.is_file()

    def set(self, value: str = 'done') -> None:
        shell.write(self.path, value)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
