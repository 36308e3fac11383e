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

"""What the tests on the cloud have in common."""

from __future__ import annotations

from collections.abc import Mapping
import fcntl
from typing import Any
from typing import ClassVar
import unittest

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import guests
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import workbench


class CloudTestCase(unittest.TestCase):
    """A test that makes things in the cloud.

    ``self.make`` makes what goes with the test, ``cls.shared`` what goes
    with the last test of the class.
    """

    #: Whether its tests disturb others: then they run alone.
    alone = False
    maxDiff = None

    make: workbench.Workbench
    shared: ClassVar[workbench.Workbench]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Workers are processes; the lock goes with the one that dies.
        lock = (clouds.home() / 'run' / 'cloud-tests').open('a')
        cls.addClassCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX if cls.alone else fcntl.LOCK_SH)
        cls.shared = workbench.Workbench(cls.addClassCleanup)

    def setUp(self) -> None:
        super().setUp()
        self.make = workbench.Workbench(self.addCleanup)


class ServerTestCase(CloudTestCase):
    """One server with SSH for a class; every test leaves it running."""

    #: What the server is made with, besides its image.
    options: ClassVar[Mapping[str, Any]] = {}
    #: What its root runs before the first test.
    preparation: ClassVar[str] = 'true'

    server: ClassVar[servers.Server]
    guest: ClassVar[guests.Guest]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.shared.server('ssh', **cls.options)
        cls.guest = cls.shared.login(cls.server)
        cls.guest.run(cls.preparation)
