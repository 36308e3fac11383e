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

"""What the groups of calls to an engine have in common."""

import abc
from typing import Any
from typing import TypeAlias

import docker

Document: TypeAlias = dict[str, Any]

#: A stream is handed on in pieces of this size, in bytes.
CHUNK = 1024 * 1024


class Calls(abc.ABC):
    """Some of an engine's calls; :class:`~.client.Engine` has them all."""

    #: Seconds without a byte before a stream is given up.
    _stream_timeout: int

    @property
    @abc.abstractmethod
    def _calls(self) -> docker.APIClient:
        """The client of short calls."""

    @property
    @abc.abstractmethod
    def _streams(self) -> docker.APIClient:
        """The client of streams, and of calls that take as long."""
