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

"""A page of the guides as a session, typed on a cloud as a reader would."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import os
import pathlib
import re
import tempfile
from typing import Any

from nova_docker.tests import alike
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.extras import belongings
from nova_docker.tests.extras import shell
from nova_docker.tests import guides

#: What only looks is typed again until it shows what the guide shows: much
#: that a command begins goes on for a while.
_LOOKS = re.compile(
    r'curl |ssh |openstack (?:--\S+ \S+ )*(?:[a-z]+ )+(?:show|list)\b')
#: What a reader has: the cloud's commands, its key, an SSH client that was
#: told to trust the servers, and as an operator what Glance's host has.
_LOGIN = """
. nova-docker/contrib/dockenstack/openrc {user}
ssh() {{
    command ssh -i {home}/demo.pem -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        -o ConnectTimeout=10 "$@"
}}
glance-manage() {{
    {home}/venv/bin/glance-manage \
        --config-file {home}/etc/glance/glance-api.conf "$@"
}}
"""


class SessionTestCase(base.CloudTestCase):
    """A page is a session of its own, from its top to its end."""

    alone = True

    def setUp(self) -> None:
        super().setUp()
        belongings.keep(self.addCleanup)
        self.likeness = alike.Likeness()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.symlink(guides.SOURCE, f'{directory.name}/nova-docker')
        self.shell = shell.Shell(pathlib.Path(directory.name),
                                 _environment(directory.name))
        self.addCleanup(self.shell.close)

    def type_page(self, page: str, user: str,
                  events: Mapping[str, Callable[[], Any]]) -> None:
        """Type what a page shows, and see that it prints what that shows.

        :param user: in whose name: ``demo`` or ``admin``
        :param events: what may happen on the page, with what does it
        :raises AssertionError: if something else is printed
        """
        login = _LOGIN.format(user=user, home=clouds.home())
        self.assertEqual(0, self.shell.run(login, clouds.PATIENCE)[0])
        for block in guides.blocks(page):
            if block.event:
                events[block.event]()
            if not block.reason:
                for command in block.commands():
                    self._type(page, command)

    def _type(self, page: str, command: guides.Command) -> None:
        """Type a command; it prints what the page shows, at last."""
        text = self.likeness.translate(command.text)
        last = 'nothing'

        def is_as_shown() -> bool:
            nonlocal last
            status, printed = self.shell.run(text, 3 * clouds.PATIENCE)
            last = f'{printed}and ends with {status}'
            return self._is_as_shown(command, status, printed)
        try:
            clouds.wait_until(is_as_shown, 'what the page shows',
                              clouds.PATIENCE if _LOOKS.match(text) else 0)
        except AssertionError as error:
            raise AssertionError(f'{page}:{command.line}: {text}\n'
                                 f'prints {last}') from error

    def _is_as_shown(self, command: guides.Command, status: int,
                     printed: str) -> bool:
        # What fails has a message, and a guide that means it shows that.
        means_it = set(command.output) - {'', '...'}
        if status and not means_it:
            return False
        return (not ''.join(command.output).strip()
                or self.likeness.covers(command.output, printed))


def _environment(directory: str) -> Mapping[str, str]:
    """What a login shell has; nothing of the tests' own."""
    return {'HOME': directory, 'LC_ALL': 'C.UTF-8', 'TERM': 'dumb',
            'PATH': os.environ['PATH'],
            'DOCKENSTACK_HOME': os.fspath(clouds.home())}
