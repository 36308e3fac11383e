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

"""The options: each is read, bounded, and says what it means."""

from __future__ import annotations

import ast
import pathlib

from oslo_config import cfg

import nova_docker
from nova_docker import conf
from nova_docker.tests import base

_PACKAGE = pathlib.Path(nova_docker.__file__).parent
#: How an option with a number says what is counted.
_UNITS = ('Seconds', 'MiB', 'KiB', 'GiB', 'Processes')


def _help(option: cfg.Opt) -> str:
    return str(option.help).strip()


def _attributes() -> set[str]:
    """Return every attribute that the driver's code reads."""
    return {
        node.attr for path in _PACKAGE.rglob('*.py')
        if 'tests' not in path.relative_to(_PACKAGE).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)}


class OptionsTestCase(base.TestCase):
    def test_each_is_read(self) -> None:
        read = _attributes()
        self.assertEqual([], [option.dest for option in conf.options
                              if option.dest not in read])

    def test_each_has_help_that_ends_like_a_sentence(self) -> None:
        for option in conf.options:
            self.assertRegex(_help(option), r'(?s)^\S.*[.`]$', option.name)

    def test_each_number_has_a_unit_and_a_bound(self) -> None:
        for option in conf.options:
            if isinstance(option, cfg.IntOpt):
                self.assertIn(_help(option).split()[0], _UNITS, option.name)
                self.assertRaises(ValueError, option.type, '-1')

    def test_each_default_is_a_good_value(self) -> None:
        for option in conf.options:
            if option.default is not None:
                option.type(str(option.default))

    def test_related_options_exist(self) -> None:
        names = {option.name for option in conf.options}
        for option in conf.options:
            _text, found, related = _help(option).partition(
                'Related options:')
            if found:
                self.assertEqual(set(), set(
                    related.replace('`', '').strip(' .\n').split(', ')
                ) - names)

    def test_the_generator_gets_all(self) -> None:
        [(group, options)] = conf.list_opts()
        self.assertEqual('docker', group.name)
        self.assertEqual(conf.options, list(options))

    def test_novas_configuration_has_them(self) -> None:
        conf.register_opts(conf.CONF)
        for option in conf.options:
            expected = option.default
            if isinstance(expected, str):
                expected = expected.replace('$state_path',
                                            conf.CONF.state_path)
            self.assertEqual(expected, conf.CONF.docker[option.dest])

    def test_bad_values_are_refused(self) -> None:
        for name, value in (('url', 'tcp://127.0.0.1:2375'),
                            ('api_timeout', 0), ('lxcfs', 'maybe'),
                            ('pids_limit', -1)):
            self.assertRaises(ValueError, self.flags, group='docker',
                              **{name: value})
