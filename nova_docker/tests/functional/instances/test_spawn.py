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

"""Whole spawns on a real engine, and what is left of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from unittest import mock
import uuid

from nova.compute import power_state
from nova.network import model

from nova import context
from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import store
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import files
from nova_docker.instances import query
from nova_docker.instances import spawn
from nova_docker import names
from nova_docker.network import connection
from nova_docker.network import sandbox
from nova_docker.tests import base as tests
from nova_docker.tests.functional import base
from nova_docker.tests.functional import proxy
from nova_docker.tests import nova_api

KEY = 'ssh-ed25519 AAAAC3Nza demo@example'


def port() -> model.VIF:
    """Return a port that Neutron has not wired yet."""
    return model.VIF(id=str(uuid.uuid4()), address='fa:16:3e:00:00:01',
                     type=model.VIF_TYPE_OVS, active=False, devname='tap-1',
                     network=model.Network(subnets=[]))


class SpawnTestCase(base.EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(vif_plugging_timeout=1, vif_plugging_is_fatal=True)
        self.images = mock.create_autospec(store.Store, instance=True)
        self.events = nova_api.VirtAPI()
        self.ports = model.NetworkInfo([port()])
        self.undo = self.make_undo(self.engine)

    def make_undo(self, engine: client.Engine) -> destroy.Destroy:
        return self.make_destroy(engine)

    def spawn(self, instance: objects.Instance, image: str | None = None,
              power_on: bool = True,
              given: Sequence[tuple[str, bytes]] = (),
              password: str | None = None) -> None:
        """Spawn an instance of an engine image."""
        if image is not None:
            self.images.ensure.return_value = image
        spawn.Spawn(
            self.engine, self.images, self.network, self.workloads,
            self.attached, self.undo, self.events, self.roots)(
                context.get_admin_context(), instance, objects.ImageMeta(),
                configdrive.Details(self.ports, given, password), power_on)

    def left(self, instance: objects.Instance) -> list[Any]:
        """Return what the engine has of an instance."""
        return self.engine.containers([f'{names.UUID}={instance.uuid}'])


class SuccessTestCase(SpawnTestCase):
    def test_it_runs(self) -> None:
        instance = self.make_instance(key_data=KEY)
        self.spawn(instance, self.make_image())
        self.assertEqual(power_state.RUNNING, query.Query(
            self.engine).info(instance).state)
        self.assertEqual(f'{KEY}\n', files.read(
            self.engine, names.workload(instance.uuid),
            '/root/.ssh/authorized_keys'))
        self.assertEqual([('network-vif-plugged', self.ports[0]['id'])],
                         self.events.expected)

    def test_the_network_is_there_first(self) -> None:
        """The workload starts after the port is wired and connected."""
        instance = self.make_instance()
        name = names.workload(instance.uuid)
        states = []

        def look(*_arguments: Any) -> None:
            try:
                states.append(self.engine.container(name)['State']['Status'])
            except errors.EngineNotFound:
                states.append('none')
        self.wires.plug.side_effect = look
        self.wires.connect.side_effect = look
        self.spawn(instance, self.make_image())
        self.assertEqual('none', states[0])
        self.assertNotIn('running', states)
        pid = self.engine.container(
            names.sandbox(instance.uuid))['State']['Pid']
        self.wires.connect.assert_called_once_with(
            instance, self.ports[0], pid)

    def test_it_stays_off(self) -> None:
        """Then nobody waits for Neutron, and its ports answer nothing."""
        instance = self.make_instance()
        self.spawn(instance, self.make_image(), power_on=False)
        self.assertEqual(power_state.SHUTDOWN, query.Query(
            self.engine).info(instance).state)
        self.assertEqual([], self.events.expected)
        self.wires.silence.assert_called_once_with(self.ports[0])
        self.assertEqual('silence', self.wires.method_calls[-1][0])

    def test_nobody_waits_for_a_port_that_is_wired(self) -> None:
        self.ports[0]['active'] = True
        self.spawn(self.make_instance(), self.make_image())
        self.assertEqual([], self.events.expected)

    def test_neutron_is_told_again_of_a_port_that_it_missed(self) -> None:
        instance = self.make_instance()
        self.events.when = lambda: self.wires.plug.call_count == 2
        self.spawn(instance, self.make_image())
        self.wires.unplug.assert_called_once_with(instance, self.ports[0])
        self.assertEqual(2, self.wires.connect.call_count)
        self.assertTrue(self.state(instance)['Running'])

    def test_neutron_may_wire_a_port_that_can_not_be_plugged_again(
            self) -> None:
        self.wires.unplug.side_effect = OSError('no')
        instance = self.make_instance()
        self.events.when = lambda: self.wires.unplug.called
        self.spawn(instance, self.make_image())
        self.assertTrue(self.state(instance)['Running'])

    def test_a_late_port_may_be_no_obstacle(self) -> None:
        self.flags(vif_plugging_is_fatal=False)
        for failure in (exception.InstanceEventTimeout(),
                        exception.NovaException('failed')):
            self.events.failure = failure
            instance = self.make_instance()
            self.spawn(instance, self.make_image())
            self.assertEqual(power_state.RUNNING, query.Query(
                self.engine).info(instance).state)

    def test_a_command_that_ends_at_once(self) -> None:
        """It was started: how it ended shows in its power state."""
        instance = self.make_instance(metadata={'docker:command': 'true'})
        self.spawn(instance, self.make_image())
        self.wait_for_end(instance)


class FailureTestCase(SpawnTestCase):
    """Whatever fails, nothing is left, and the first error is told."""

    def fails(self, kind: type[Exception], words: str,
              instance: objects.Instance | None = None,
              image: str | None = None) -> None:
        """See that a spawn fails for a reason and leaves nothing."""
        instance = instance or self.make_instance()
        error = self.assertRaises(kind, self.spawn, instance, image)
        self.assertIn(words, str(error))
        self.assertEqual([], self.left(instance))
        self.wires.unplug.assert_called_once_with(instance, self.ports[0])

    def test_a_bad_key(self) -> None:
        self.fails(errors.BadSetting, "'docker:nonsense'",
                   self.make_instance(metadata={'docker:nonsense': 'x'}))
        self.images.ensure.assert_not_called()
        self.wires.plug.assert_not_called()

    def test_the_image(self) -> None:
        self.images.ensure.side_effect = exception.ImageUnacceptable(
            image_id='7', reason='it is a painting')
        self.fails(exception.ImageUnacceptable, 'it is a painting')

    def test_the_engine_at_the_image(self) -> None:
        self.images.ensure.side_effect = errors.EngineUnavailable('no word')
        self.fails(exception.BuildAbortException, 'does not answer: no word')

    def test_the_plug(self) -> None:
        self.wires.plug.side_effect = LookupError('no switch')
        self.fails(exception.VirtualInterfacePlugException, 'no switch',
                   image=self.make_image())

    def test_an_unknown_type_of_port(self) -> None:
        self.wires.plug.side_effect = errors.UnsupportedVif(vif_type='odd')
        self.fails(errors.UnsupportedVif, "'odd'", image=self.make_image())

    def test_the_sandbox(self) -> None:
        self.fails(exception.BuildAbortException, 'hostname',
                   self.make_instance(hostname='x' * 64 + '!'),
                   image=self.make_image())

    def test_the_connection(self) -> None:
        self.wires.connect.side_effect = LookupError('no namespace')
        self.fails(exception.VirtualInterfacePlugException, 'no namespace',
                   image=self.make_image())

    def test_the_workload(self) -> None:
        self.fails(exception.BuildAbortException, 'memory',
                   self.make_instance(tests.make_flavor(memory_mb=1)),
                   self.make_image())

    def test_the_image_vanished(self) -> None:
        self.fails(exception.BuildAbortException, 'nova-docker-test/nosuch',
                   image='nova-docker-test/nosuch:1')

    def test_the_command(self) -> None:
        self.fails(exception.BuildAbortException,
                   "The container could not be started: the command "
                   "'/bin/nosuch' does not exist in the image",
                   self.make_instance(
                       metadata={'docker:command': '/bin/nosuch'}),
                   self.make_image())

    def test_the_key_pair(self) -> None:
        self.fails(exception.BuildAbortException, '/etc/passwd is larger',
                   self.make_instance(key_data=KEY), self.make_image(
                       base.Entry('etc/passwd', b'#' * (files.LIMIT + 1))))

    def test_neutron_says_nothing(self) -> None:
        self.events.failure = exception.InstanceEventTimeout()
        self.fails(exception.VirtualInterfaceCreateException, '',
                   image=self.make_image())

    def test_neutron_says_no(self) -> None:
        self.events.failure = exception.NovaException('failed')
        self.fails(exception.VirtualInterfaceCreateException, '',
                   image=self.make_image())

    def test_the_start(self) -> None:
        self.fails(exception.BuildAbortException, 'vm.nosuch',
                   self.make_instance(tests.make_flavor(
                       extra_specs={'docker:sysctl_vm.nosuch': '1'})),
                   self.make_image())

    def test_the_process_is_told_to_end(self) -> None:
        class Ended(BaseException):
            pass
        self.wires.connect.side_effect = Ended
        instance = self.make_instance()
        self.assertRaises(Ended, self.spawn, instance, self.make_image())
        self.assertEqual([], self.left(instance))

    def test_the_undoing_fails_too(self) -> None:
        """It goes on past its error, which does not hide the first one."""
        self.wires.connect.side_effect = LookupError('no namespace')
        self.wires.unplug.side_effect = LookupError('no switch')
        self.fails(exception.VirtualInterfacePlugException, 'no namespace',
                   image=self.make_image())

    def test_the_ports_were_never_made(self) -> None:
        """Nova's list of ports raises what went wrong when it is read."""
        def fail(*_arguments: Any) -> None:
            raise exception.NoMoreFixedIps('no more addresses')
        self.ports = model.NetworkInfoAsyncWrapper(fail)
        instance = self.make_instance()
        self.assertRaises(exception.NoMoreFixedIps, self.spawn, instance,
                          self.make_image())
        self.assertEqual([], self.left(instance))

    def test_the_engine_goes_away_in_the_middle(self) -> None:
        """Nobody can clean up then, and Nova still sees what is left."""
        direct, image = self.engine, self.make_image()
        instance = self.make_instance()
        wire = self.useFixture(proxy.Proxy(self.url))
        self.engine = client.Engine(wire.url, timeout=tests.PATIENCE)
        self.network = connection.Connection(
            sandbox.Sandbox(self.engine, None), self.wires)
        self.undo = self.make_undo(self.engine)
        self.workloads = self.make_workloads(direct, self.engine)

        def cut(*_arguments: Any) -> None:
            wire.cut()
        self.wires.connect.side_effect = cut
        error = self.assertRaises(exception.BuildAbortException, self.spawn,
                                  instance, image)
        self.assertIn('does not answer: ', str(error))
        self.engine = direct
        self.assertIn(instance.uuid, query.Query(direct).uuids())
        wire.mend()
        self.undo(instance, self.ports)
        self.assertEqual([], self.left(instance))


class DestroyTestCase(SpawnTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.instance = self.make_instance()
        self.spawn(self.instance, self.make_image())

    def test_nothing_remains(self) -> None:
        self.undo(self.instance, self.ports)
        self.assertEqual([], self.left(self.instance))
        self.wires.unplug.assert_called_once_with(self.instance,
                                                  self.ports[0])

    def test_again(self) -> None:
        self.undo(self.instance, self.ports)
        self.undo(self.instance, self.ports)
        self.undo(self.make_instance(), model.NetworkInfo())

    def test_in_every_state(self) -> None:
        name = names.workload(self.instance.uuid)
        states: list[Callable[[str], None]] = [
            self.engine.pause, lambda name: self.engine.stop(name, 0)]
        for change in states:
            change(name)
            self.undo(self.instance, self.ports)
            self.assertEqual([], self.left(self.instance))
            self.spawn(self.instance)

    def test_an_image_with_volumes(self) -> None:
        """Their content would stay on the host otherwise."""
        image = self.make_image(changes=['CMD ["/bin/sh"]', 'VOLUME /data'])
        instance = self.make_instance()
        self.spawn(instance, image)
        [volume] = [each['Source'] for each in self.engine.container(
            names.workload(instance.uuid))['Mounts']
            if each['Type'] == 'volume']
        self.undo(instance, self.ports)
        with self.assertRaises(FileNotFoundError), open(volume):
            pass

    def test_past_an_error(self) -> None:
        self.wires.unplug.side_effect = LookupError('no switch')
        self.assertRaises(exception.VirtualInterfaceUnplugException,
                          self.undo, self.instance, self.ports)
        self.assertEqual([], self.left(self.instance))

    def test_the_disk_stays(self) -> None:
        self.undo(self.instance, self.ports, disks=False)
        self.assertEqual(2, len(self.left(self.instance)))
        self.assertEqual('exited', self.state(self.instance)['Status'])
        self.undo(self.make_instance(), self.ports, disks=False)
