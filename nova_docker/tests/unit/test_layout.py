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

"""The rules of the source tree that no single module can keep."""

import ast
from collections.abc import Iterator
import pathlib

from oslotest import base

import nova_docker

_PACKAGE = pathlib.Path(nova_docker.__file__).parent
_SOURCE = _PACKAGE.parent

#: Who may import whom: a module imports from its own layer's directory and
#: from the layers below, never from beside or above.
_LAYERS = (
    {'cmd'},
    {'driver'},
    {'assembly'},
    {'instances', 'startup'},
    {'rootvolume'},
    {'console', 'health', 'images', 'network', 'resources', 'volumes'},
    {'builtin', 'lxcfs', 'processor'},
    {'spec', 'engine', 'privsep', 'topology', 'validator'},
    {'cpuset', 'elf', 'names', 'settings'},
    {'conf', 'errors'},
)


def _modules() -> Iterator[pathlib.Path]:
    for path in sorted(_PACKAGE.rglob('*.py')):
        if 'tests' not in path.relative_to(_PACKAGE).parts:
            yield path


def _imports(path: pathlib.Path) -> set[str]:
    """Full names of what a module imports, at its top or in a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(f'{node.module}.{each.name}' for each in node.names)
    return found


def _part(path: pathlib.Path) -> str:
    """The part of the package that a file belongs to: driver, engine, ..."""
    return path.relative_to(_PACKAGE).parts[0].removesuffix('.py')


def _layer(part: str) -> int:
    for number, parts in enumerate(_LAYERS):
        if part in parts:
            return number
    raise LookupError(f'nova_docker/{part} is in no layer: name one for it')


class LayoutTestCase(base.BaseTestCase):
    def test_imports_point_one_way(self) -> None:
        wrong = []
        for path in _modules():
            if path == _PACKAGE / '__init__.py':
                continue
            for name in _imports(path):
                package, _, rest = name.partition('.')
                part = rest.partition('.')[0]
                if package == 'nova_docker' and not self._may(path, part):
                    wrong.append(f'{path.relative_to(_SOURCE)}: {name}')
        self.assertEqual([], wrong)

    @staticmethod
    def _may(path: pathlib.Path, part: str) -> bool:
        return part == _part(path) or _layer(_part(path)) < _layer(part)

    def test_only_engine_imports_the_docker_sdk(self) -> None:
        self.assertEqual({'engine'}, {
            _part(path) for path in _modules()
            if any(name.partition('.')[0] == 'docker'
                   for name in _imports(path))})

    def test_nothing_imports_eventlet(self) -> None:
        self.assertEqual([], [
            path for path in _PACKAGE.rglob('*.py')
            if any(name.partition('.')[0] == 'eventlet'
                   for name in _imports(path))])

    def test_every_module_says_what_it_is_responsible_for(self) -> None:
        self.assertEqual([], [
            path for path in _modules() if path.name != '__init__.py'
            and not ast.get_docstring(ast.parse(path.read_text()))])

    def test_every_file_has_the_licence(self) -> None:
        self.assertEqual([], [
            path for path in _PACKAGE.rglob('*.py')
            if path.stat().st_size
            and 'Apache License, Version 2.0' not in path.read_text()])

    def test_every_directory_is_a_package(self) -> None:
        """Namespace packages are found too, but mypy and ruff pass by."""
        self.assertEqual([], [
            path.parent for path in _PACKAGE.rglob('*.py')
            if not (path.parent / '__init__.py').exists()])

    def test_the_overlay_hides_nothing_of_nova(self) -> None:
        self.assertEqual(
            {'virt/docker/__init__.py'},
            {str(path.relative_to(_SOURCE / 'nova'))
             for path in (_SOURCE / 'nova').rglob('*.py')})
