"""Whom we trust behind us and who we are there: the TLS side of an upstream, its files picked up again when they change."""

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.config.regular import HERE, same_if_any
from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret
from gateway.upstream.model import UpstreamTls

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class Shown(NamedTuple):
    """A certificate that some routes show in place of the upstream's own: the credential's name, the chain, the key."""

    name: str
    certificate: Path
    key: SecretSource


class ClientTls:
    """The TLS context of one upstream. Certificates and host names are always verified.

    Raises ValueError at once when a named file cannot be used: an upstream whose CA is missing must not start
    (CVE-2026-27586). A file that breaks later changes nothing: the last good context stays.
    """

    def __init__(self, tls: UpstreamTls, *, http2: bool = False, shown: Shown | None = None) -> None:
        if tls.client_key is not None and tls.client_certificate is None:
            raise ValueError("tls.client_key needs tls.client_certificate beside it")
        self._protocols = ["h2"] if http2 else ["http/1.1"]
        self._ca = tls.ca
        self._certificate = tls.client_certificate if shown is None else shown.certificate
        self._key = tls.client_key.file if tls.client_key is not None and shown is None else None
        self._secret = None if shown is None else shown.key
        self._files = [path for path in (self._ca, self._certificate, self._key) if path is not None]
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()
        self._used: Secret | None = None
        if self._files:
            try:
                self._used, self._stamp = self._current(), self._stamped()
                self._context = self._built(self._used)
            except DependencyDown:
                log.debug("no key for a client certificate yet")  # requests that need it are refused before they come here
            except OSError as error:
                raise ValueError(f"tls: a certificate, key or CA file cannot be used: {_reason(error)}") from error

    def context(self) -> ssl.SSLContext:
        """The context for the next connection. Raises OSError where there never was a key."""
        if self._context is None:
            try:
                self._used, self._stamp = self._current(), self._stamped()
            except DependencyDown as error:
                raise OSError(f"no key: {error}") from error
            self._context = self._built(self._used)
        elif self._files:
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            stamp, secret = self._stamped(), self._current()
            if stamp == self._stamp and secret is self._used:
                return
            self._stamp, self._used = stamp, secret
            self._context = self._built(secret)
        except (OSError, DependencyDown) as error:
            told = _reason(error) if isinstance(error, OSError) else str(error)
            log.error("upstream TLS files not usable, the last good ones stay", extra={"error": told})

    def _current(self) -> Secret | None:
        return None if self._secret is None else self._secret.current()

    def _stamped(self) -> Stamp:
        return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in (path.stat() for path in self._files))

    def _built(self, secret: Secret | None) -> ssl.SSLContext:
        with (
            same_if_any(self._ca) as authorities,
            same_if_any(self._certificate) as certificate,
            same_if_any(self._key) as file,
            in_memory(secret) as memory,
        ):
            context = ssl.create_default_context(cafile=authorities)
            if certificate is not None:
                context.load_cert_chain(certificate, memory or file, password=_no_password)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(self._protocols)
        return context


@contextmanager
def in_memory(secret: Secret | None) -> Iterator[str | None]:
    """A path by which OpenSSL, which reads keys from files only, reads one that lies in none (memfd_create(2)). Raises OSError."""
    if secret is None:
        yield None
        return
    if not hasattr(os, "memfd_create"):
        raise OSError("a key that is a credential's needs Linux: without memfd_create it would have to be written to a disk")
    number = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(number, secret.reveal())
        yield f"{HERE}/{number}"
    finally:
        os.close(number)


def _no_password() -> str:
    """An encrypted key is an error, not a question asked on the terminal."""
    return ""


def _reason(error: OSError) -> str:
    name = Path(error.filename).name if isinstance(error.filename, str) else ""
    return f"{name}: {error.strerror}" if name else f"{type(error).__name__}: {error.strerror}"
