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

"""Horizon in a browser: its pages, and what a user does on each."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
import re
from typing import Any

from PIL import Image
from playwright import sync_api

from nova_docker.tests.cloud import clouds

URL = 'http://127.0.0.1:8780'
#: Debian's; Playwright's own would have to be downloaded.
BROWSER = '/usr/bin/chromium'
#: Names the directory for pictures of the pages, if somebody wants some.
PICTURES = 'HORIZON_PICTURES'
SIZE: sync_api.ViewportSize = {'width': 1280, 'height': 720}

#: Seconds in which a shell answers unless what was typed was lost.
_PROMPTLY = 20


class Dashboard:
    """Horizon, as one user has it on a screen.

    :param cleanup: unittest's addCleanup
    """

    def __init__(self, cleanup: Callable[..., Any]) -> None:
        playwright = sync_api.sync_playwright().start()
        cleanup(playwright.stop)
        # Chromium's own sandbox wants another user than root.
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=['--no-sandbox', '--disable-dev-shm-usage'])
        cleanup(browser.close)
        self.page = browser.new_page(base_url=URL, viewport=SIZE)
        self.page.set_default_timeout(clouds.PATIENCE * 1000)
        sync_api.expect.set_options(timeout=clouds.PATIENCE * 1000)

    def picture(self, name: str) -> None:
        """Keep how the page looks now, where pictures are wanted."""
        directory = os.environ.get(PICTURES)
        if directory:
            taken = self.page.screenshot(animations='disabled')
            # A page has few colours, and so its file may be small.
            Image.open(io.BytesIO(taken)).quantize(64).save(
                pathlib.Path(directory, f'{name}.png'), optimize=True)

    @contextlib.contextmanager
    def pictured_if_it_fails(self, path: pathlib.Path) -> Iterator[None]:
        """Keep how the page looks when something on it goes wrong."""
        path.unlink(missing_ok=True)
        try:
            yield
        except (AssertionError, sync_api.Error) as error:
            self.page.screenshot(path=path, full_page=True)
            error.add_note(f'{self.page.url}, as {path} shows it')
            raise

    def log_in(self, user: str) -> None:
        """Log in as one of the users in the cloud's clouds.yaml."""
        auth = clouds.connection(user).config.auth
        self.page.goto('/')
        self.page.get_by_label('User Name').fill(auth['username'])
        self.page.get_by_label('Password').fill(auth['password'])
        self.page.get_by_role('button', name='Sign In').click()
        self.page.wait_for_url('**/project/')

    # Images

    def image(self, name: str) -> sync_api.Locator:
        """Go to the images; return the row of one."""
        self.page.goto('/project/images')
        return self._row(name)

    def launch(self, image: str, flavor: str, network: str, name: str,
               command: str) -> None:
        """Launch an instance from the list of images."""
        row = self.image(image)
        row.wait_for()
        self.picture('images')
        row.get_by_role('button', name='Launch').click()
        wizard = self.page.locator('.modal-content')
        wizard.get_by_label('Instance Name').fill(name)
        self._command(wizard, command)
        self._choose(wizard, 'Networks', network)
        self._choose(wizard, 'Flavor', flavor)
        self.picture('launch')
        wizard.get_by_role('button', name='Launch Instance').click()
        sync_api.expect(wizard).to_have_count(0)

    def _command(self, wizard: sync_api.Locator, command: str) -> None:
        """Say what the container runs, with what the forms offer for it."""
        wizard.get_by_role('link', name='Metadata').click()
        wizard.get_by_text('Docker Container').click()
        offered = self.page.get_by_text('Command', exact=True)
        wizard.locator('li').filter(has=offered).locator('a.btn').click()
        wizard.locator('metadata-tree-item').filter(
            has_text='docker:command').get_by_role('textbox').fill(command)
        self.picture('metadata')

    @staticmethod
    def _choose(wizard: sync_api.Locator, step: str, name: str) -> None:
        """Choose one of what a step offers, if it is not chosen already."""
        wizard.get_by_role('link', name=re.compile(f'^{step}')).click()
        row = wizard.get_by_role('row').filter(visible=True).filter(
            has_text=re.compile(rf'\b{re.escape(name)}\b'))
        row.wait_for()
        offered = row.locator('button.fa-arrow-up')
        if offered.count():
            offered.click()
        sync_api.expect(row.locator('button.fa-arrow-down')).to_be_visible()

    # Instances

    def instance(self, name: str) -> sync_api.Locator:
        """Go to the instances; return the row of one."""
        self.page.goto('/project/instances/')
        return self._row(name)

    def is_active(self, name: str) -> str:
        """Wait until an instance is Active, and return its id."""
        row = self.instance(name)
        sync_api.expect(row).to_contain_text('Active')
        sync_api.expect(row).to_contain_text('Running')
        self.picture('instances')
        return str(row.get_attribute('data-object-id'))

    def shows_log(self, server: str, *texts: str) -> bool:
        """Open the log of an instance, and tell whether it has all this."""
        self._open(server, 'Log')
        log = self.page.locator('pre.logs')
        log.wait_for()
        shown = log.text_content() or ''
        return all(text in shown for text in texts)

    def types(self, server: str, command: str, answer: str) -> None:
        """Open the console of an instance, and have a command answered."""
        self._open(server, 'Console')
        frame = self.page.frame_locator('#console_embed')
        frame.get_by_text('Status: Open').wait_for()
        terminal = frame.locator('.terminal')

        def is_answered() -> bool:
            terminal.click()
            self.page.keyboard.type(f'{command}\n')
            try:
                sync_api.expect(terminal).to_contain_text(
                    answer, timeout=_PROMPTLY * 1000)
            except AssertionError:
                return False
            return True
        clouds.wait_until(is_answered, f'the console shows "{answer}"')
        self.page.evaluate('window.scrollTo(0, 0)')
        self.picture('console')

    def snapshot(self, server: str, name: str) -> None:
        """Make a snapshot of an instance, and wait until it is Active."""
        self._open(server, 'Overview')
        self.page.get_by_role('link', name='Create Snapshot').click()
        form = self.page.locator('.modal-content')
        form.get_by_label('Snapshot Name').fill(name)
        form.get_by_role('button', name='Create Snapshot').click()
        # It goes to the images by itself.
        self.page.wait_for_url('**/project/images')
        clouds.wait_until(lambda: self._is_image_active(name),
                          f'the image {name} is Active')

    def _is_image_active(self, name: str) -> bool:
        row = self.image(name)
        row.wait_for()
        return 'Active' in (row.text_content() or '')

    def delete(self, name: str) -> None:
        """Delete an instance, and wait until it is in the list no more."""
        row = self.instance(name)
        # While it has a task, its row is replaced, which closes the menu.
        sync_api.expect(row).to_contain_text('None')
        row.locator('a.dropdown-toggle').click()
        self.picture('actions')
        row.get_by_text('Delete Instance').click()
        self.page.locator('.modal-content .btn-danger').click()
        sync_api.expect(row).to_have_count(0)

    def _open(self, server: str, tab: str) -> None:
        self.page.goto(f'/project/instances/{server}/')
        self.page.locator('#instance_details').get_by_role(
            'link', name=tab, exact=True).click()

    def _row(self, name: str) -> sync_api.Locator:
        """Return the row of a table in which a name leads to its page."""
        link = self.page.get_by_role('link', name=name, exact=True)
        return self.page.get_by_role('row').filter(has=link)
