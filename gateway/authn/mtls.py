"""Client certificates as identities. The chain was verified before, by our TLS listener or by a believed proxy (CONTRACT 2).

Read are the names only, each by its own type, so that a name of one type never stands for one of another. Of a type that
counts there must be exactly one: which of several is meant nobody could tell.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.authn.ocsp import Responder
from gateway.authn.recent import Recent
from gateway.authn.workloads import SPIFFE, trust_domain
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock, Grant
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason

ISSUER: Final = "mtls"
REMEMBERED: Final = 2048
MAX_NAME: Final = 2048

URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII)
DNS: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
EMAIL: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}", re.ASCII
)
# Without `:`, `/` and `@`, a common name can never be taken for a URI, a SPIFFE id or an address.
COMMON_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f:/@\ud800-\udfff]{1,64}")


@final
class Names:
    """The names of one certificate, by type; `common` are its subject's common names."""

    __slots__ = ("begins", "common", "dns", "email", "ends", "signs", "uri")

    def __init__(self, certificate: x509.Certificate) -> None:
        """Raises ValueError for a certificate that cannot be read or carries control characters in a name."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        self.uri = _clean(names.get_values_for_type(x509.UniformResourceIdentifier))
        self.dns = tuple(name.lower() for name in _clean(names.get_values_for_type(x509.DNSName)))
        self.email = _clean(names.get_values_for_type(x509.RFC822Name))
        self.common = _clean([str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)])
        self.signs = _signs(certificate)
        self.begins = certificate.not_valid_before_utc.timestamp()
        self.ends = certificate.not_valid_after_utc.timestamp()


def spiffe(names: Names) -> str | None:
    """SPIFFE X.509-SVID 2: exactly one URI name, and it is the id. Several, or a malformed id, make the certificate invalid, and so
    does the right to sign others (5.2): an authority is nobody's workload."""
    if not any(uri.lower().startswith("spiffe:") for uri in names.uri):
        return None
    if names.signs:
        raise ValueError("an authority's certificate")
    return _only(names.uri, SPIFFE)


def san_uri(names: Names) -> str | None:
    return _only(names.uri, URI)


def san_dns(names: Names) -> str | None:
    """The one DNS name, lower case; a wildcard is nobody's name."""
    return _only(names.dns, DNS)


def san_email(names: Names) -> str | None:
    return _only(names.email, EMAIL)


def subject_cn(names: Names) -> str | None:
    return _only(names.common, COMMON_NAME)


READERS: Final[Mapping[str, Callable[[Names], str | None]]] = {
    "spiffe": spiffe,
    "san_uri": san_uri,
    "san_dns": san_dns,
    "san_email": san_email,
    "subject_cn": subject_cn,
}
"""Each gives the name of its type, None when there is none, and raises ValueError when there are several or a bad one."""


@final
class Certificates:
    """Certificates turned into principals under one policy; each certificate is read once."""

    def __init__(
        self,
        identity: Sequence[str],
        grant: Grant,
        clock: Clock,
        domains: Sequence[str] | None = None,
        responder: Responder | None = None,
    ) -> None:
        """`domains` are the trust domains whose workloads are let in, None for any that the CA vouches for. `responder` is asked
        whether a certificate was revoked."""
        self.responder = responder
        self._domains = None if domains is None else frozenset(domains)
        self._readers = tuple(READERS[kind] for kind in identity)
        self._grant = grant
        self._clock = clock
        self._known: Recent[bytes, tuple[Principal, float, float]] = Recent(REMEMBERED)

    def authenticate(self, der: bytes) -> Principal:
        """Who holds this certificate. Raises Unauthenticated."""
        known = self._known.get(der)
        if known is None:
            known = self._read(der)
            self._known.put(der, known)
        principal, begins, ends = known
        now = self._clock.now()
        if now > ends:
            raise Unauthenticated("certificate: expired", reason=Reason.CREDENTIAL_EXPIRED)
        if now < begins:
            raise Unauthenticated("certificate: not valid yet")
        if principal.expires is not None and principal.expires <= now < ends:  # not the certificate, but a role of its holder
            principal, begins, ends = known = self._read(der)
            self._known.put(der, known)
        return principal

    def _read(self, der: bytes) -> tuple[Principal, float, float]:
        try:
            names = Names(x509.load_der_x509_certificate(der))
            subject = self._subject(names)
        except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise Unauthenticated("certificate: its names cannot be used") from error
        identity = Identity(
            id=subject, issuer=ISSUER, scheme="mtls", credential_id=hashlib.sha256(der).hexdigest(), expires=names.ends
        )
        return self._grant(identity), names.begins, names.ends

    def _subject(self, names: Names) -> str:
        """The first type, in the configured order, of which the certificate has a name."""
        for read in self._readers:
            if (subject := read(names)) is not None:
                if read is spiffe and self._domains is not None and trust_domain(subject) not in self._domains:
                    raise ValueError("a workload of another trust domain")
                return subject
        raise ValueError("no name of a configured type")


def _signs(certificate: x509.Certificate) -> bool:
    """Whether it may sign certificates or revocation lists."""
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.key_cert_sign or usage.crl_sign


def _only(names: Sequence[str], form: re.Pattern[str]) -> str | None:
    if not names:
        return None
    if len(names) > 1 or len(names[0]) > MAX_NAME or not form.fullmatch(names[0]):
        raise ValueError("several names, or a malformed one")
    return names[0]


def _clean(names: Sequence[str]) -> tuple[str, ...]:
    """CVE-2025-66220: a NUL hides what follows from some readers and not from others."""
    if any(not name.isprintable() for name in names):
        raise ValueError("control characters in a name")
    return tuple(names)
