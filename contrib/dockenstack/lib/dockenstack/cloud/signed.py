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

"""An image that is signed, and the certificate that vouches for it.

The certificate is a secret of the user demo in the key manager, so nobody
else can verify the image.
"""

import base64
import datetime
import pathlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509

from dockenstack.cloud import provision

NAME = 'tempest-signed'
#: The image's property that names the certificate's secret.
CERTIFICATE = 'img_signature_certificate_uuid'
_USAGES = ('content_commitment', 'key_encipherment', 'data_encipherment',
           'key_agreement', 'crl_sign', 'encipher_only', 'decipher_only')


def ensure(demo: Any, path: pathlib.Path, digest: str) -> dict[str, str]:
    """Have such an image of an archive.

    :param digest: the archive's SHA-512, as Glance tells it
    :returns: the image, and the certificate to be trusted
    """
    image = demo.image.find_image(NAME)
    if not (image and image.status == 'active' and
            image.hash_value == digest):
        if image:
            demo.image.delete_image(image)
            demo.key_manager.delete_secret(image.properties[CERTIFICATE])
        image = demo.image.create_image(
            name=NAME, filename=str(path), container_format='docker',
            disk_format='raw', visibility='private', wait=True,
            **provision.IMAGE_PROPERTIES,
            **_signature(demo.key_manager, path.read_bytes()))
    return {'certified_image': image.id,
            'certificate': image.properties[CERTIFICATE]}


def _signature(secrets: Any, content: bytes) -> dict[str, str]:
    """Sign a content with a new key; these properties of an image say so."""
    key = rsa.generate_private_key(65537, 2048)
    pem = _certificate(key).public_bytes(serialization.Encoding.PEM)
    stored = secrets.create_secret(
        name=NAME, secret_type='certificate', algorithm='RSA',
        payload=base64.b64encode(pem).decode(),
        payload_content_type='application/octet-stream',
        payload_content_encoding='base64')
    signed = key.sign(
        content, padding.PSS(padding.MGF1(hashes.SHA256()),
                             padding.PSS.MAX_LENGTH), hashes.SHA256())
    return {
        'img_signature': base64.b64encode(signed).decode(),
        'img_signature_hash_method': 'SHA-256',
        'img_signature_key_type': 'RSA-PSS',
        CERTIFICATE: str(stored.secret_ref).rpartition('/')[2]}


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    """Return a certificate that vouches for itself, for ten years."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    usage = {**dict.fromkeys(_USAGES, False),
             'digital_signature': True, 'key_cert_sign': True}
    return (x509.CertificateBuilder()
            .subject_name(name).issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.KeyUsage(**usage), True)
            .sign(key, hashes.SHA256()))
