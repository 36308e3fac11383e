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

"""Tests of nova_docker.images.configuration."""

from collections.abc import Sequence
import itertools
import json
from typing import Any

import ddt

from nova_docker.images import configuration
from nova_docker.images import limits
from nova_docker.tests import base
from nova_docker.tests.unit.images import archives

HERE = ('amd64', '386')


@ddt.ddt
class ConfigTest(base.TestCase):

    layers = tuple(f'sha256:{archives.digest(layer)}'
                   for layer in (archives.LOWER, archives.UPPER))

    def clean(self, document: bytes,
              layers: Sequence[str | None] = layers) -> bytes:
        config = configuration.Config(document)
        config.check_platform(HERE)
        config.check_layers(layers)
        return config.cleaned()

    def check(self, document: bytes) -> Any:
        return json.loads(self.clean(document))

    def refused(self, document: bytes) -> str:
        return str(self.assertRaises(limits.Unacceptable, self.check,
                                     document))

    def test_a_good_one_stays_to_the_byte(self) -> None:
        document = archives.config(config={'Labels': {'version': '1'}})
        self.assertEqual(document, self.clean(document))

    def test_names_its_layers(self) -> None:
        self.assertEqual(list(self.layers),
                         configuration.Config(archives.config()).layers)

    def test_a_layer_may_be_left_to_the_engine(self) -> None:
        self.clean(archives.config(), [None, self.layers[1]])

    @ddt.data('Labels', 'labels', 'LABELS')
    def test_takes_our_labels_out(self, key: str) -> None:
        found = self.check(archives.config(
            config={key: {'org.openstack.nova.uuid': 'u', 'version': '1'}}))
        self.assertEqual({'version': '1'}, found['config'][key])

    @ddt.data(('config', 'Volumes'), ('Config', 'volumes'),
              ('config', 'Volumeſ'), ('container_config', 'Volumes'))
    @ddt.unpack
    def test_takes_volumes_out(self, section: str, key: str) -> None:
        document = json.loads(archives.config())
        del document['config']
        document[section] = {key: {'/data': {}}, 'Cmd': ['/bin/sh']}
        found = self.check(archives.encoded(document))
        self.assertEqual({'Cmd': ['/bin/sh']}, found[section])

    @ddt.data('Labels', 'labels')
    def test_takes_a_burden_of_labels_out(self, key: str) -> None:
        for size, kept in ((60, True), (70, False)):
            labels = {'version': '1' * size * 1024}
            found = self.check(archives.config(
                config={key: labels, 'Cmd': ['/bin/sh']}))
            self.assertEqual({key: labels if kept else {},
                              'Cmd': ['/bin/sh']}, found['config'])

    @ddt.data(*itertools.product(
        ('Interval', 'StartInterval', 'interval'),
        (('config', 'Healthcheck'), ('Config', 'healthcheck')),
        ((-1, 10), (1, 10), (9, 10), (10, 10), (60, 60), (0, 0))))
    @ddt.unpack
    def test_slows_health_checks_down(
            self, key: str, where: tuple[str, str], seconds: tuple[int, int]
            ) -> None:
        document = json.loads(archives.config())
        given, expected = ({'Test': ['CMD', '/bin/true'], key: each * 10 ** 9,
                            'Timeout': 10 ** 9} for each in seconds)
        document.pop('config')
        section, check = where
        found = self.check(archives.encoded(
            {**document, section: {check: given}}))
        self.assertEqual({check: expected}, found[section])

    def test_a_health_check_may_be_as_the_engine_has_it(self) -> None:
        for check in (None, {}, {'Test': ['NONE']},
                      {'Interval': None, 'Test': ['CMD', 'true']}):
            document = archives.config(config={'Healthcheck': check})
            self.assertEqual(document, self.clean(document))

    def test_what_it_is_for_can_not_fill_a_terminal_or_command_it(
            self) -> None:
        odd = '\x1b[2J' + 'x' * 10_000
        for document in (archives.config(os=odd),
                         archives.config(architecture=odd)):
            reason = self.refused(document)
            self.assertTrue(reason.isprintable())
            self.assertLess(len(reason), 1000)

    @ddt.data('Cmd', 'Entrypoint', 'Env')
    def test_refuses_a_burden(self, key: str) -> None:
        self.clean(archives.config(config={key: ['x' * 200 * 1024]}))
        self.assertIn('more than 256 KiB', self.refused(archives.config(
            config={key: ['x' * 260 * 1024]})))

    @ddt.data(
        (b'[]', 'not as it should be'),
        (archives.config(os='windows'), 'windows'),
        (archives.config(architecture='arm64'), "for 'arm64'"),
        (archives.config(rootfs=[]), 'not as it should be'),
        (archives.config(rootfs={'diff_ids': 'x'}), 'not as it should be'),
        (archives.config(rootfs={}), 'names 0 layers'),
        (archives.config([archives.UPPER, archives.LOWER]), 'layer 1'),
        (archives.config([archives.LOWER, archives.LOWER]), 'layer 2'),
        (archives.config(Config={}), 'two spellings'),
        (archives.config(Architecture='arm64'), 'two spellings'),
        (archives.config(config={'Labels': {}, 'labels': {}}),
         'two spellings'),
        (archives.config(config={'Volumes': {}, 'volumeſ': {}}),
         'two spellings'),
    )
    @ddt.unpack
    def test_refuses(self, document: bytes, reason: str) -> None:
        self.assertIn(reason, self.refused(document))
