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

"""Certificates in the key manager, and images that their owner signs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509

from nova_docker.tests.cloud import clouds
from nova_docker.tests.cloud import services
from nova_docker.tests.cloud import workbench

#: The first version of the API in which a user names certificates.
TRUST = '2.63'
_DAY = datetime.timedelta(days=1)


def required() -> AbstractContextManager[None]:
    """Have Nova boot signed images alone, as an operator may."""
    return services.options(
        {'glance': {'verify_glance_signatures': 'true'}},
        'nova/nova.conf', 'nova/compute.conf')


class Authority:
    """A key with its certificate, which is in the key manager.

    :param cleanup: unittest's addCleanup or addClassCleanup
    :param issuer: who signs the certificate; none if it signs itself
    :param may_sign: whether it may sign other certificates
    """

    def __init__(self, cleanup: Callable[..., Any],
                 issuer: Authority | None = None,
                 may_sign: bool = True) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self.name = x509.Name([x509.NameAttribute(
            x509.NameOID.COMMON_NAME, workbench.new_name())])
        self.id = self._store(cleanup, self._certificate(
            issuer or self, may_sign))

    def _certificate(self, issuer: Authority,
                     may_sign: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        usage = dict.fromkeys((
            'content_commitment', 'key_encipherment', 'data_encipherment',
            'key_agreement', 'crl_sign', 'encipher_only', 'decipher_only'),
            False)
        return (x509.CertificateBuilder()
                .subject_name(self.name).issuer_name(issuer.name)
                .public_key(self._key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - _DAY).not_valid_after(now + _DAY)
                .add_extension(x509.BasicConstraints(may_sign, None), True)
                .add_extension(x509.KeyUsage(
                    digital_signature=True, key_cert_sign=may_sign, **usage),
                    True)
                .sign(issuer._key, hashes.SHA256()))

    def _store(self, cleanup: Callable[..., Any],
               certificate: x509.Certificate) -> str:
        secrets = clouds.connection('demo').key_manager
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        made = secrets.create_secret(
            name=workbench.new_name(), secret_type='certificate',
            algorithm='RSA', payload=base64.b64encode(pem).decode(),
            payload_content_type='application/octet-stream',
            payload_content_encoding='base64')
        found = str(made.secret_ref).rpartition('/')[2]
        cleanup(secrets.delete_secret, found)
        return found

    def signature(self, content: bytes) -> dict[str, str]:
        """Return the properties of an image that it signs."""
        signed = self._key.sign(
            content, padding.PSS(padding.MGF1(hashes.SHA256()),
                                 padding.PSS.MAX_LENGTH), hashes.SHA256())
        return {
            'img_signature': base64.b64encode(signed).decode(),
            'img_signature_hash_method': 'SHA-256',
            'img_signature_key_type': 'RSA-PSS',
            'img_signature_certificate_uuid': self.id,
        }
