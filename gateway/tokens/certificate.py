"""Whether a verified certificate is the one of a client (RFC 8705 2.1.2)."""

from cryptography import x509

from gateway.authn.mtls import Names
from gateway.tokens.model import ClientCertificate


def matches(wanted: ClientCertificate | None, der: bytes | None) -> bool:
    """The configured name is one of the certificate's; another of its names never stands for it."""
    if wanted is None or der is None:
        return False
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = Names(certificate)
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    if names.signs:
        return False
    if wanted.subject is not None:
        return certificate.subject.rfc4514_string() == wanted.subject
    if wanted.san_uri is not None:
        return wanted.san_uri in names.uri
    return wanted.san_dns is not None and wanted.san_dns.lower() in names.dns
