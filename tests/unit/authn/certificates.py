"""Client certificates with any names."""

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from tests.issuer import NOW

KEY = ed25519.Ed25519PrivateKey.generate()


def client_certificate(
    *,
    uri: Sequence[str] = (),
    dns: Sequence[str] = (),
    email: Sequence[str] = (),
    common: Sequence[str] = (),
    other: Sequence[x509.GeneralName] = (),
    begins: float = NOW - 3600,
    ends: float = NOW + 3600,
) -> bytes:
    """The DER of a certificate; the SAN extension is there only if it has names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False) for name in common])
    names: list[x509.GeneralName] = [
        *(x509.UniformResourceIdentifier._init_without_validation(name) for name in uri),
        *(x509.DNSName._init_without_validation(name) for name in dns),
        *(x509.RFC822Name._init_without_validation(name) for name in email),
        *other,
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")]))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(begins, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(ends, datetime.UTC))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, None).public_bytes(serialization.Encoding.DER)
