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

"""Which servers come to the host, and which never do."""

from __future__ import annotations

from openstack import exceptions

from nova_docker import names
from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import services

#: Prints the CPUs on which it may run.
_CPUS = 'grep Cpus_allowed_list /proc/self/status | cut -f 2'


class SchedulingTestCase(base.CloudTestCase):
    def assert_no_host(self, asked: servers.Server) -> None:
        """A server stays away, and its fault says so."""
        self.assertIn('No valid host was found', asked.fault())
        self.assertEqual([], host.containers(asked.id))
        self.assertEqual({}, host.allocations(asked.id))


class ChoiceTestCase(SchedulingTestCase):
    """By image, flavor and group."""

    def test_kinds_of_hypervisor(self) -> None:
        mine, other = (
            self.make.server(self.make.image(
                archives.busybox(), img_hv_type=kind), wait=())
            for kind in ('docker', 'kvm'))
        self.assert_no_host(other)
        mine.wait_for('ACTIVE')

    def test_traits(self) -> None:
        here, never, elsewhere = (
            self.make.server(flavor=self.make.flavor({
                f'trait:{trait}': wish}), wait=())
            for trait, wish in (('CUSTOM_DOCKER', 'required'),
                                ('CUSTOM_DOCKER', 'forbidden'),
                                ('HW_GPU_API_VULKAN', 'required')))
        self.assert_no_host(never)
        self.assert_no_host(elsewhere)
        here.wait_for('ACTIVE')

    def test_resources(self) -> None:
        """What the flavor asks of Placement beside its own fields."""
        few = self.make.server(flavor=self.make.flavor(
            {'resources:VCPU': '1'}, vcpus=2), wait=())
        many = self.make.server(flavor=self.make.flavor(
            {'resources:VCPU': '100000'}), wait=())
        self.assert_no_host(many)
        few.wait_for('ACTIVE')
        [provider] = host.allocations(few.id).values()
        self.assertEqual(1, provider['resources']['VCPU'])

    def test_cpus_of_its_own_where_there_are_none(self) -> None:
        self.assert_no_host(self.make.server(flavor=self.make.flavor(
            {'hw:cpu_policy': 'dedicated'}), wait=()))

    def test_huge_pages(self) -> None:
        self.assert_no_host(self.make.server(flavor=self.make.flavor(
            {'hw:mem_page_size': 'large'}), wait=()))

    def test_numa(self) -> None:
        booted = self.make.server(flavor=self.make.flavor(
            {'hw:numa_nodes': '1'}), wait=('ACTIVE',))
        found = host.workload(booted.id)['HostConfig']
        self.assertEqual('0', found['CpusetMems'])

    def test_anti_affinity(self) -> None:
        hints = {'group': self.make.server_group('anti-affinity')}
        self.make.server(wait=('ACTIVE',), scheduler_hints=hints)
        self.assert_no_host(self.make.server(wait=(), scheduler_hints=hints))

    def test_affinity(self) -> None:
        hints = {'group': self.make.server_group('affinity')}
        for _ in range(2):
            self.make.server(wait=('ACTIVE',), scheduler_hints=hints)

    def test_zones(self) -> None:
        here = self.make.server(availability_zone='nova', wait=('ACTIVE',))
        self.assertEqual('nova', here.show().availability_zone)
        self.assertRaisesRegex(
            exceptions.BadRequestException, 'zone is not available',
            self.make.server, availability_zone='elsewhere', wait=())

    def test_the_hosts_traits(self) -> None:
        found = services.host_traits()
        for trait in ('CUSTOM_DOCKER', 'CUSTOM_DOCKER_LXCFS',
                      'COMPUTE_IMAGE_TYPE_RAW'):
            self.assertIn(trait, found)
        self.assertTrue([each for each in found
                         if each.startswith('HW_ARCH_')])


class DisabledTestCase(SchedulingTestCase):
    alone = True

    def test_disabled_and_enabled(self) -> None:
        booted = self.make.server()
        self.addCleanup(services.set_schedulable, True)
        services.set_schedulable(False)
        # The zone that every server goes to has no other host.
        self.assertRaisesRegex(
            exceptions.BadRequestException, 'zone is not available',
            self.make.server, wait=())
        # What is there already goes on.
        booted.stop()
        booted.start()
        services.set_schedulable(True)
        self.make.server(wait=('ACTIVE',))


class CacheTestCase(base.CloudTestCase):
    def test_an_image_ahead_of_the_first_server(self) -> None:
        image_id = self.make.image(archives.busybox())
        aggregate = self.make.aggregate('dockenstack')
        answer = clouds.connection('admin').compute.post(
            f'/os-aggregates/{aggregate}/images', microversion='2.81',
            json={'cache': [{'id': image_id}]})
        exceptions.raise_from_response(answer)
        reference = names.image_reference(image_id)
        clouds.wait_until(lambda: reference in host.tags(),
                          'the image is in the engine')


class DedicatedTestCase(SchedulingTestCase):
    """An operator has set a CPU aside for servers that have it alone."""

    alone = True

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(services.options({'compute': {
            'cpu_shared_set': '0', 'cpu_dedicated_set': '1'}},
            'nova/compute.conf'))

    def test_a_cpu_of_its_own(self) -> None:
        """In Placement, in the kernel, and for as long as it is there."""
        flavor = self.make.flavor({'hw:cpu_policy': 'dedicated'})
        pinned = self.make.server(flavor=flavor, metadata={
            'docker:command': f"sh -c '{_CPUS}; exec sleep 3600'"})
        self.assertEqual('1', pinned.wait_for_console('\n').strip())
        [provider] = host.allocations(pinned.id).values()
        self.assertEqual(1, provider['resources']['PCPU'])
        self.assertNotIn('VCPU', provider['resources'])

        self.assert_no_host(self.make.server(flavor=flavor, wait=()))
        self.assertEqual('0', self.make.prints(_CPUS))

        self.make.delete(pinned)
        self.assertEqual('1', self.make.prints(_CPUS, flavor=flavor))

    def test_one_of_its_own_and_a_shared_one(self) -> None:
        mixed = self.make.server(flavor=self.make.flavor(
            {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '^0'},
            vcpus=2), metadata={
                'docker:command': f"sh -c '{_CPUS}; exec sleep 3600'"})
        self.assertEqual('0-1', mixed.wait_for_console('\n').strip())
        [provider] = host.allocations(mixed.id).values()
        self.assertEqual((1, 1), tuple(
            provider['resources'][kind] for kind in ('PCPU', 'VCPU')))
