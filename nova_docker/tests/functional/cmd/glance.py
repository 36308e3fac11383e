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

"""A real Glance: its API on a port of this machine, its files in a directory.

Run as a program with the directory, it serves until its standard input ends,
and writes the port that it has.
"""

from __future__ import annotations

import configparser
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from typing import Any
import unittest

_PASTE = pathlib.Path(sys.prefix, 'etc', 'glance', 'glance-api-paste.ini')


class Glance:
    """A Glance without Keystone, for a class of tests.

    Its clouds.yaml has it as the cloud ``test``.
    """

    def __init__(self, test: type[unittest.TestCase]) -> None:
        home = tempfile.TemporaryDirectory()
        test.addClassCleanup(home.cleanup)
        self._home = pathlib.Path(home.name)
        self._configure()
        subprocess.run(
            [sys.executable, '-m', 'glance.cmd.manage', '--config-dir',
             self._home / 'etc', 'db_sync'],
            check=True, capture_output=True, timeout=300)
        with (self._home / 'errors').open('w') as errors:
            serving = subprocess.Popen(
                [sys.executable, '-m', __name__, self._home / 'etc'],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True, env={**os.environ,
                                'PYTHONPATH': ':'.join(sys.path),
                                'OS_GLANCE_CONFIG_DIR': str(
                                    self._home / 'etc')})
        test.addClassCleanup(self._end, serving)
        assert serving.stdout
        port = serving.stdout.readline().strip()
        assert port, (self._home / 'errors').read_text()[-4000:]
        self.url = f'http://127.0.0.1:{port}'
        self.clouds = self._home / 'clouds.yaml'
        self.clouds.write_text(
            'clouds:\n  test:\n    auth_type: none\n'
            f'    auth:\n      endpoint: {self.url}\n')

    def files(self) -> list[str]:
        """Return the ids of the images that it has data of."""
        return sorted(each.name for each in (self._home / 'images').iterdir())

    def path(self, image_id: str) -> pathlib.Path:
        """Return the file with an image's data."""
        return self._home / 'images' / image_id

    def _configure(self) -> None:
        for each in ('etc', 'images', 'staging', 'tasks'):
            (self._home / each).mkdir()
        written = configparser.RawConfigParser()
        written.read_dict({
            'DEFAULT': {'enabled_backends': 'file:file',
                        'log_file': f'{self._home}/log',
                        'node_staging_uri': f'file://{self._home}/staging'},
            'database': {'connection': f'sqlite:///{self._home}/glance.db'},
            'glance_store': {'default_backend': 'file'},
            'file': {'filesystem_store_datadir': f'{self._home}/images'},
            'os_glance_staging_store': {
                'filesystem_store_datadir': f'{self._home}/staging'},
            'os_glance_tasks_store': {
                'filesystem_store_datadir': f'{self._home}/tasks'},
            'paste_deploy': {'flavor': 'keystone', 'config_file': str(
                self._home / 'paste.ini')}})
        (self._home / 'paste.ini').write_text(
            _PASTE.read_text().replace(' authtoken ', ' '))
        with (self._home / 'etc' / 'glance-api.conf').open('w') as file:
            written.write(file)

    @staticmethod
    def _end(serving: subprocess.Popen[str]) -> None:
        serving.communicate(timeout=60)


def _serve() -> None:
    from glance.wsgi import api
    from werkzeug import serving

    def as_member(environ: dict[str, Any], *more: Any) -> Any:
        """Tell Glance what Keystone's middleware would."""
        return api.application({
            **environ, 'HTTP_X_IDENTITY_STATUS': 'Confirmed',
            'HTTP_X_USER_ID': 'user', 'HTTP_X_PROJECT_ID': 'project',
            'HTTP_X_ROLES': 'member,reader'}, *more)

    def end_with_test() -> None:
        sys.stdin.read()
        os._exit(0)
    threading.Thread(target=end_with_test, daemon=True).start()
    server = serving.make_server('127.0.0.1', 0, as_member, threaded=True)
    sys.stdout.write(f'{server.port}\n')
    sys.stdout.flush()
    server.serve_forever()


if __name__ == '__main__':
    _serve()
