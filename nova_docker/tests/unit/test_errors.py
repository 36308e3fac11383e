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

"""The table of errors, and the wall that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import ddt

from nova import exception
from nova_docker import errors
from nova_docker.tests import base


@errors.wall
class Walled:
    """Something with the driver's kinds of methods."""

    def fail(self, error: Exception, instance: object = None) -> None:
        """Raise what it is given."""
        raise error

    def answer(self, value: int) -> int:
        """Return what it is given."""
        return value

    def _inner(self, error: Exception) -> None:
        raise error


@ddt.ddt
class WallTestCase(base.TestCase):
    @ddt.data(
        (errors.EngineUnavailable('silence'), exception.HypervisorUnavailable,
         'Docker Engine does not answer: silence'),
        (errors.EngineBadRequest('too small', 400), exception.InternalError,
         'Docker Engine: too small'),
        (errors.EngineConflict('taken', 409), exception.InternalError,
         'Docker Engine: taken'),
        (errors.EngineError('broken', 500), exception.InternalError,
         'Docker Engine: broken'))
    @ddt.unpack
    def test_engine_error(self, error: errors.EngineError,
                          kind: type[Exception], words: str) -> None:
        raised = self.assertRaises(kind, Walled().fail, error)
        self.assertIn(words, str(raised))
        self.assertIs(error, raised.__cause__)

    def test_not_found_is_told_of_the_instance(self) -> None:
        instance = base.make_instance()
        error = errors.EngineNotFound('No such container: abc', 404)
        raised = self.assertRaises(exception.InstanceNotFound, Walled().fail,
                                   error, instance)
        self.assertIn(instance.uuid, str(raised))
        with self.assertRaisesRegex(exception.InstanceNotFound,
                                    instance.uuid):
            Walled().fail(error, instance=instance)

    def test_not_found_without_an_instance(self) -> None:
        raised = self.assertRaises(
            exception.InstanceNotFound, Walled().fail,
            errors.EngineNotFound('No such container: abc', 404))
        self.assertIn('No such container: abc', str(raised))

    @ddt.data(exception.ImageUnacceptable(image_id='1', reason='odd'),
              errors.BadSetting(source='Flavor key', key='k', reason='odd'),
              LookupError('ours'))
    def test_other_errors_pass(self, error: Exception) -> None:
        self.assertIs(error, self.assertRaises(type(error), Walled().fail,
                                               error))

    def test_results_and_names_pass(self) -> None:
        self.assertEqual(7, Walled().answer(7))
        self.assertEqual('answer', Walled.answer.__name__)
        self.assertEqual('Return what it is given.', Walled.answer.__doc__)

    def test_what_is_private_has_no_wall(self) -> None:
        self.assertRaises(errors.EngineError, Walled()._inner,
                          errors.EngineError('inside'))

    def test_every_kind_is_translated(self) -> None:
        def kinds(kind: type[errors.EngineError]
                  ) -> list[type[errors.EngineError]]:
            return [kind, *(each for below in kind.__subclasses__()
                            for each in kinds(below))]
        for kind in kinds(errors.EngineError):
            self.assertIsInstance(errors.translate(kind('x')),
                                  exception.NovaException)


class MessagesTestCase(base.TestCase):
    def test_what_a_user_reads(self) -> None:
        self.assertEqual(
            "Network port of VIF type 'hostdev' can't be given to a "
            "container: only 'ovs' (Open vSwitch and OVN) is supported.",
            str(errors.UnsupportedVif(vif_type='hostdev')))
        self.assertEqual(
            "Image property 'docker_tty': odd.", str(errors.BadSetting(
                source='Image property', key='docker_tty', reason='odd.')))

    def test_nova_gives_up_at_once(self) -> None:
        """Another host could do no better with these."""
        for kind in (errors.BadSetting, errors.UnsupportedVif):
            self.assertTrue(issubclass(kind, exception.InvalidInput))


class TakeAllTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.taken: list[int] = []

    def step(self, number: int, error: Exception | None = None
             ) -> Callable[[], None]:
        def step() -> None:
            self.taken.append(number)
            if error is not None:
                raise error
        return step

    def test_every_step_is_taken(self) -> None:
        errors.take_all(self.step(1), self.step(2))
        self.assertEqual([1, 2], self.taken)

    def test_the_first_error_is_raised_at_the_end(self) -> None:
        first = LookupError('first')
        self.assertIs(first, self.assertRaises(
            LookupError, errors.take_all, self.step(1), self.step(2, first),
            self.step(3, LookupError('second')), self.step(4)))
        self.assertEqual([1, 2, 3, 4], self.taken)

    def test_whoever_ends_the_process_is_not_kept_waiting(self) -> None:
        def step() -> None:
            raise KeyboardInterrupt
        self.assertRaises(KeyboardInterrupt, errors.take_all, step,
                          self.step(2))
        self.assertEqual([], self.taken)
