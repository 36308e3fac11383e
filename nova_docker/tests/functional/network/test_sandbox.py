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

"""Sandboxes on a real engine, and what their workloads see of them."""

from __future__ import annotations

import os

from nova import exception
from nova import objects
from nova_docker import names
from nova_docker.network import sandbox
from nova_docker.tests.functional import base


class SandboxTestCase(base.EngineTestCase):
    def namespace(self, pid: int) -> str:
        return os.readlink(f'/proc/{pid}/ns/net')

    def see(self, instance: objects.Instance, script: str) -> str:
        """Run a script in a workload on the instance's sandbox."""
        instance.metadata = {'docker:command': f"/bin/sh -c '{script}'"}
        self.engine.start(self.create(instance, self.make_image()))
        self.wait_for_end(instance)
        return self.log(instance)

    def test_a_namespace_of_its_own(self) -> None:
        pid = self.boxes.ensure(self.make_instance(), [], [])
        other = self.boxes.ensure(self.make_instance(), [], [])
        self.assertEqual(3, len({self.namespace(number) for number in
                                 (pid, other, os.getpid())}))

    def test_again(self) -> None:
        instance = self.make_instance()
        pid = self.boxes.ensure(instance, [], [])
        self.assertEqual(pid, self.boxes.ensure(instance, [], []))

    def test_it_is_started_again(self) -> None:
        instance = self.make_instance()
        self.boxes.ensure(instance, [], [])
        name = names.sandbox(instance.uuid)
        self.engine.stop(name, 0)
        pid = self.boxes.ensure(instance, [], [])
        self.assertEqual(self.engine.container(name)['State']['Pid'], pid)

    def test_stopped_it_has_another_namespace(self) -> None:
        instance = self.make_instance()
        self.boxes.stop(instance.uuid)
        pid = self.boxes.ensure(instance, [], [])
        # While it is held the kernel gives no other its number.
        held = os.open(f'/proc/{pid}/ns/net', os.O_RDONLY)
        self.addCleanup(os.close, held)
        for _time in range(2):
            self.boxes.stop(instance.uuid)
        pid = self.boxes.ensure(instance, [], [])
        self.assertNotEqual(os.fstat(held).st_ino,
                            os.stat(f'/proc/{pid}/ns/net').st_ino)

    def test_it_ends_on_no_signal_but_the_last(self) -> None:
        instance = self.make_instance()
        pid = self.boxes.ensure(instance, [], [])
        for signal in ('SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGCONT'):
            self.engine.signal(names.sandbox(instance.uuid), signal)
        self.assertEqual(pid, self.boxes.ensure(instance, [], []))

    def test_it_can_do_nothing(self) -> None:
        pid = self.boxes.ensure(self.make_instance(), [], [])
        with open(f'/proc/{pid}/status', encoding='ascii') as lines:
            status = dict(line.rstrip().split(':\t', 1) for line in lines)
        self.assertEqual(0, int(status['CapEff'], 16))
        self.assertEqual('1', status['NoNewPrivs'])
        self.assertEqual('2', status['Seccomp'])

    def test_names_inside(self) -> None:
        instance = self.make_instance(hostname='my-server')
        self.boxes.ensure(instance, ['192.0.2.1', '2001:db8::1'],
                          ['10.0.0.5', 'fd00::5'])
        seen = self.see(
            instance, 'hostname; cat /etc/hosts /etc/resolv.conf')
        lines = seen.split('\n')
        self.assertEqual('my-server', lines[0])
        self.assertIn('10.0.0.5\tmy-server', lines)
        self.assertIn('fd00::5\tmy-server', lines)
        self.assertIn('nameserver 192.0.2.1', lines)
        self.assertIn('nameserver 2001:db8::1', lines)

    def test_the_hosts_resolver_stays_outside(self) -> None:
        instance = self.make_instance()
        self.boxes.ensure(instance, [], [])
        seen = self.see(instance, 'cat /etc/resolv.conf')
        self.assertEqual(['127.0.0.1'], [
            line.split()[1] for line in seen.splitlines()
            if line.startswith('nameserver')])
        self.assertEqual([], [
            line for line in seen.splitlines() if line.startswith('search')
            and line.split()[1:] not in ([], ['.'])])

    def test_removal_can_be_done_again(self) -> None:
        instance = self.make_instance()
        self.boxes.ensure(instance, [], [])
        self.boxes.remove(instance.uuid)
        self.boxes.remove(instance.uuid)
        self.assertEqual([], self.engine.containers(
            [f'{names.UUID}={instance.uuid}']))

    def test_the_image_is_made_when_it_is_missing(self) -> None:
        image = f'nova-docker-test/sandbox:{self.id()[-20:]}'
        self.addCleanup(self.engine.remove_image, image, force=True)
        self.patch(names, 'SANDBOX_IMAGE', image)
        boxes = sandbox.Sandbox(self.engine, None)
        boxes.ensure(self.make_instance(), [], [])
        self.assertLess(self.engine.image(image)['Size'], 1024)

    def test_another_image_in_its_place_is_not_started(self) -> None:
        image = f'nova-docker-test/sandbox:{self.id()[-20:]}'
        self.addCleanup(self.engine.remove_image, image, force=True)
        self.patch(names, 'SANDBOX_IMAGE', image)
        boxes = sandbox.Sandbox(self.engine, None)
        boxes.prepare()
        own = self.engine.image(image)['Id']
        self.engine.tag_image(self.make_image(), image)
        self._images.append(own)
        instance = self.make_instance()
        boxes.ensure(instance, [], [])
        found = self.engine.container(names.sandbox(instance.uuid))
        self.assertLess(self.engine.image(found['Image'])['Size'], 1024)

    def test_the_operators_image(self) -> None:
        image = self.make_image(changes=['CMD ["sleep", "9999"]'])
        instance = self.make_instance()
        sandbox.Sandbox(self.engine, image).ensure(instance, [], [])
        found = self.engine.container(names.sandbox(instance.uuid))
        self.assertEqual(image, found['Config']['Image'])

    def test_the_operators_image_is_missing(self) -> None:
        boxes = sandbox.Sandbox(self.engine, 'nova-docker-test/nosuch:1')
        error = self.assertRaises(exception.InvalidConfiguration,
                                  boxes.prepare)
        self.assertIn('sandbox_image', str(error))
        self.assertIn('nova-docker-test/nosuch:1', str(error))
