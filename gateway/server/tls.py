"""TLS of one listener: a context built from files, and built again when the files are replaced.

Fails closed: a certificate, key, CA or CRL that is missing, empty or unreadable refuses the start and every reload.
"""

import hashlib
import logging
import ssl
from collections.abc import Callable, MutableMapping
from pathlib import Path
from time import time
from typing import Final
from weakref import WeakKeyDictionary

from cryptography import x509

from gateway.config import regular
from gateway.edge.model import Tls

log = logging.getLogger(__name__)

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
AUTH: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}
CIPHERS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsError(Exception):
    """A listener's TLS cannot be set up. `key` is the configuration key at fault: certificate, key, client_ca, client_crl."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class ServerTls:
    """A listener's TLS in use. `context` is for new connections; `not_after` is the certificate's end in Unix seconds.

    `trust` is a digest of what decides which clients are let in; it changes when the CA, the CRL or the demand changes.
    Raises TlsError from the constructor and from `reload`, which then leaves everything as it was.
    """

    def __init__(self, model: Tls, *, http2: bool = False) -> None:
        self._model = model
        self._protocols = ["h2", "http/1.1"] if http2 else ["http/1.1"]
        self._names: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self.context: ssl.SSLContext
        self.not_after: float
        self.trust: str
        self._seen: str | None
        self.reload()

    def requested_name(self, session: ssl.SSLObject) -> str | None:
        """The server name a client asked for (SNI), lower case; None when it asked for none."""
        return self._names.get(session)

    def changed(self) -> bool:
        """Whether the files differ from those in use, or from those last refused. Reads them; call it off the event loop."""
        return self._digest() != self._seen

    def reload(self) -> None:
        """Build the context anew from the files as they are now."""
        self._seen = self._digest()
        model = self._model
        certificate = certificate_of(model.certificate)
        context = build_context(model)
        context.set_alpn_protocols(self._protocols)
        context.sni_callback = remembering(self._names)
        self.not_after = certificate.not_valid_after_utc.timestamp()
        if self.not_after < time():
            log.warning("certificate expired", extra={"certificate": str(model.certificate), "not_after": self.not_after})
        self.trust = digest(model.client_auth, *(path for path in (model.client_ca, model.client_crl) if path is not None))
        self.context = context

    def _digest(self) -> str:
        model = self._model
        paths = (model.certificate, model.key.file, model.client_ca, model.client_crl)
        return digest("", *(path for path in paths if path is not None))


def remembering(names: MutableMapping[ssl.SSLObject, str]) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    """What notes the name a client asks for. It refers to `names` alone, lest a replaced context keep itself."""

    def remember(session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        # One context for every name: a listener's demands never depend on a name the client chooses (attacks row 134).
        if name is not None:
            names[session] = name.lower()

    return remember


def build_context(model: Tls) -> ssl.SSLContext:
    """A server's context: modern versions only, no compression, no early data, no renegotiation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[model.min_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS_1_2)
    load_certificate(context, model)
    trust_clients(context, model)
    return context


def load_certificate(context: ssl.SSLContext, model: Tls) -> None:
    """The server's own certificate and key."""
    read(model.key.file, "key")
    try:
        with regular.same(model.certificate) as certificate, regular.same(model.key.file) as key:
            # The empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        problem = "does not belong to the certificate" if mismatch else "is no usable private key in PEM form"
        raise TlsError("key", f"{model.key.file} {problem}") from error


def trust_clients(context: ssl.SSLContext, model: Tls) -> None:
    """Which client certificates are accepted. CVE-2026-27586: a CA that cannot be read must never mean no check."""
    context.verify_mode = AUTH[model.client_auth]
    if model.client_auth == "none":
        return
    if model.client_ca is None:
        raise TlsError("client_ca", "client_auth needs a client_ca")
    load_trust(context, model.client_ca, "client_ca")
    if not context.get_ca_certs():
        raise TlsError("client_ca", f"{model.client_ca} holds no CA certificate")
    # Resumption skips the verification, and with it a certificate revoked since.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    if model.client_crl is not None:
        load_crl(context, model.client_crl)


def load_crl(context: ssl.SSLContext, path: Path) -> None:
    """Revoked client certificates; a CRL that lists none is fine, a file without a CRL is not."""
    if b"-----BEGIN X509 CRL-----" not in read(path, "client_crl"):
        raise TlsError("client_crl", f"{path} holds no CRL in PEM form")
    load_trust(context, path, "client_crl")
    if not context.cert_store_stats()["crl"]:
        raise TlsError("client_crl", f"{path} holds no CRL in PEM form")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def load_trust(context: ssl.SSLContext, path: Path, key: str) -> None:
    """Add what `path` holds to the store clients are verified against."""
    read(path, key)
    try:
        with regular.same(path) as same:
            context.load_verify_locations(cafile=same)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(key, f"{path} is not in PEM form") from error


def certificate_of(path: Path) -> x509.Certificate:
    """The leaf certificate of a chain file."""
    try:
        return x509.load_pem_x509_certificates(read(path, "certificate"))[0]
    except ValueError as error:
        raise TlsError("certificate", f"{path} holds no certificate in PEM form") from error


def read(path: Path, key: str) -> bytes:
    """The bytes of a file that must have some."""
    try:
        content = regular.content(path)
    except OSError as error:
        raise TlsError(key, f"{path} cannot be read: {error.strerror}") from error
    if len(content) > regular.MOST:
        raise TlsError(key, f"{path} is larger than {regular.MOST // 1024**2} MiB")
    if not content.strip():
        raise TlsError(key, f"{path} is empty")
    return content


def digest(start: str, *paths: Path) -> str:
    """A digest of the contents of files; an unreadable one counts as such, so that its return is a change."""
    total = hashlib.sha256(start.encode())
    for path in paths:
        try:
            content = b"+" + regular.content(path)
        except OSError:
            content = b"-"
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()
