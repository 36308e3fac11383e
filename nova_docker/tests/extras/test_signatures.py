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

"""Images that somebody signed, and the certificates that a user trusts."""

from __future__ import annotations

from typing import Any
from typing import ClassVar

from nova_docker.tests.cloud import archives
from nova_docker.tests.cloud import base
from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import host
from nova_docker.tests.cloud import servers
from nova_docker.tests.cloud import workbench
from nova_docker.tests.extras import signing


class _SigningTestCase(base.CloudTestCase):
    """A root, somebody it vouches for, and what that one signed."""

    root: ClassVar[signing.Authority]
    signer: ClassVar[signing.Authority]
    content: ClassVar[bytes]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.root = signing.Authority(cls.addClassCleanup)
        cls.signer = signing.Authority(cls.addClassCleanup, cls.root,
                                       may_sign=False)
        cls.content = archives.busybox(files={'etc/marker': b'as signed'})

    def signed(self) -> str:
        return self.make.image(self.content,
                               **self.signer.signature(self.content))

    def forged(self) -> str:
        """Return an image that bears another one's signature.

        Glance itself refuses its content if it has the signature already.
        """
        image_id = self.make.image(self.content)
        clouds.connection('demo').image.update_image(
            image_id, **self.signer.signature(b'another image'))
        return image_id

    def boot(self, image_id: str, *trusted: signing.Authority,
             **more: Any) -> servers.Server:
        if trusted:
            more['trusted_image_certificates'] = [each.id for each in trusted]
        return self.make.server(image=image_id, microversion=signing.TRUST,
                                **more)

    def refused(self, image_id: str, *trusted: signing.Authority) -> str:
        """Return why a server of an image does not boot."""
        before = {tag for tag in host.tags() if image_id in tag}
        server = self.boot(image_id, *trusted, wait=['ERROR'])
        self.assertEqual(before, {tag for tag in host.tags()
                                  if image_id in tag})
        self.assertEqual([], host.containers(server.id))
        return server.fault()


class TrustTestCase(_SigningTestCase):
    """What a user gets who says whom to trust."""

    def test_a_signed_image_boots(self) -> None:
        self.assertEqual('as signed', self.make.prints(
            'cat /etc/marker', image=self.signed(), microversion=signing.TRUST,
            trusted_image_certificates=[self.root.id]))

    def test_a_chain_of_certificates(self) -> None:
        between = signing.Authority(self.addCleanup, self.root)
        signer = signing.Authority(self.addCleanup, between, may_sign=False)
        image_id = self.make.image(self.content,
                                   **signer.signature(self.content))
        self.boot(image_id, self.root, between)
        self.assertIn('Certificate chain building failed',
                      self.refused(image_id, self.root))

    def test_a_stranger_signed_it(self) -> None:
        stranger = signing.Authority(self.addCleanup)
        fault = self.refused(self.signed(), stranger)
        self.assertIn(self.signer.id, fault)
        self.assertIn('Could not locate the signing certificate', fault)

    def test_a_signature_of_something_else(self) -> None:
        image_id = self.forged()
        fault = self.refused(image_id, self.root)
        self.assertIn(image_id, fault)
        self.assertIn('its signature is not that of its content', fault)

    def test_an_image_without_a_signature(self) -> None:
        self.assertIn('Required image properties for signature verification '
                      'do not exist', self.refused(
                          self.make.image(self.content), self.root))

    def test_a_copy_on_the_host_proves_nothing(self) -> None:
        """It came for somebody who trusts everyone, and stays for him."""
        image_id = self.forged()
        careless = self.boot(image_id)
        self.assertIn('its signature is not that of its content',
                      self.refused(image_id, self.root))
        self.assertEqual('ACTIVE', careless.show().status)
        self.boot(image_id)

    def test_it_is_shown_changed_rebuilt_and_listed(self) -> None:
        """As Tempest's ServerShowV263Test does, and looks into the server."""
        content = clouds.connection('demo').image.download_image(
            clouds.image_id('ssh')).content
        image_id = self.make.image(content, **self.signer.signature(content))
        server = self.boot(image_id, self.root)
        guest = self.make.login(server)
        compute = clouds.connection('demo').compute

        def shown(path: str) -> dict[str, Any]:
            return dict(compute.get(path, microversion=signing.TRUST).json())
        self.assertEqual([self.root.id], shown(f'/servers/{server.id}')[
            'server']['trusted_image_certificates'])
        compute.update_server(server.id, name=workbench.new_name())
        guest.run('echo mine > /root/note')
        server.rebuild(image_id)
        self.assertEqual('', guest.again().run(
            'cat /root/note 2>/dev/null || true'))
        self.assertEqual([[self.root.id]], [
            each['trusted_image_certificates'] for each in shown(
                '/servers/detail')['servers'] if each['id'] == server.id])

    def test_a_rebuild_to_a_forged_image(self) -> None:
        """What it was stays on its disk."""
        server = self.make.server(
            image=self.signed(), microversion=signing.TRUST,
            trusted_image_certificates=[self.root.id])
        before = host.workload(server.id)['Id']
        clouds.connection('demo').compute.rebuild_server(
            server.id, image=self.forged())
        self.assertIn('its signature is not that of its content',
                      server.fault())
        after = host.workload(server.id)
        self.assertEqual((before, True), (after['Id'],
                                          after['State']['Running']))

    def test_a_snapshot_is_signed_by_nobody(self) -> None:
        server = self.boot(self.signed(), self.root)
        image_id = self.make.snapshot(server)
        self.assertEqual('as signed', self.make.prints(
            'cat /etc/marker', image=image_id))
        self.assertIn('Required image properties',
                      self.refused(image_id, self.root))


class RequiredTestCase(_SigningTestCase):
    """An operator takes signed images alone."""

    alone = True

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(signing.required())

    def test_only_signed_images_boot(self) -> None:
        self.boot(self.signed())
        self.assertIn('its signature is not that of its content',
                      self.refused(self.forged()))
        self.assertIn('Required image properties',
                      self.refused(clouds.image_id('busybox')))
