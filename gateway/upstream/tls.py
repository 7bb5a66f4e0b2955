"""Whom we trust behind us and who we are there: the TLS side of an upstream, its files picked up again when they change."""

import logging
import ssl
from pathlib import Path

from gateway.config.regular import same_if_any
from gateway.upstream.model import UpstreamTls

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class ClientTls:
    """The TLS context of one upstream. Certificates and host names are always verified.

    Raises ValueError at once when a named file cannot be used: an upstream whose CA is missing must not start
    (CVE-2026-27586). A file that breaks later changes nothing: the last good context stays.
    """

    def __init__(self, tls: UpstreamTls, *, http2: bool = False) -> None:
        if tls.client_key is not None and tls.client_certificate is None:
            raise ValueError("tls.client_key needs tls.client_certificate beside it")
        self._protocols = ["h2"] if http2 else ["http/1.1"]
        self._ca = tls.ca
        self._certificate = tls.client_certificate
        self._key = tls.client_key.file if tls.client_key is not None else None
        self._files = [path for path in (self._ca, self._certificate, self._key) if path is not None]
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()
        if self._files:
            try:
                self._stamp = self._stamped()
                self._context = self._built()
            except OSError as error:
                raise ValueError(f"tls: a certificate, key or CA file cannot be used: {_reason(error)}") from error

    def context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        if self._context is None:
            self._context = self._built()
        elif self._files:
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._context = self._built()
        except OSError as error:
            log.error("upstream TLS files not usable, the last good ones stay", extra={"error": _reason(error)})

    def _stamped(self) -> Stamp:
        return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in (path.stat() for path in self._files))

    def _built(self) -> ssl.SSLContext:
        with same_if_any(self._ca) as authorities, same_if_any(self._certificate) as certificate, same_if_any(self._key) as key:
            context = ssl.create_default_context(cafile=authorities)
            if certificate is not None:
                context.load_cert_chain(certificate, key, password=_no_password)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(self._protocols)
        return context


def _no_password() -> str:
    """An encrypted key is an error, not a question asked on the terminal."""
    return ""


def _reason(error: OSError) -> str:
    name = Path(error.filename).name if isinstance(error.filename, str) else ""
    return f"{name}: {error.strerror}" if name else f"{type(error).__name__}: {error.strerror}"
