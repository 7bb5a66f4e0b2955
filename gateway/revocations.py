"""Revocation lists fetched from where the configuration says, and left in the file that listeners watch.

Never from where a certificate says: whoever shows one would choose what we connect to. What is fetched must be signed by an
authority of `client_ca`, be in force, and not be older than what is there; else the list before stays, until it ends by itself and
TLS refuses every client that it should speak about.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import regular
from gateway.config.replacing import replace
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Metrics
from gateway.edge.model import CrlSource
from gateway.settings import Settings

LOOK_EVERY: Final = 5.0
RETRY: Final = 60.0
TIMEOUT: Final = 30.0
SKEW: Final = 300.0
"""Seconds that the authority's clock may be ahead of ours."""
MODE: Final = 0o644
PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\s*", re.DOTALL)

List = x509.CertificateRevocationList

log = logging.getLogger(__name__)


class Revocations:
    """Keeps the revocation lists of whatever configuration is live."""

    def __init__(self, live: Callable[[], Settings | None], fetch: Fetch, metrics: Metrics) -> None:
        self._live = live
        self._fetch = fetch
        self._metrics = metrics
        self._due: dict[tuple[CrlSource, Path], float] = {}
        self._writing = asyncio.Lock()

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # a bug: the next turn is another try, and the lists that are there go on counting
                log.exception("looking after revocation lists failed")
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Fetch what is due, all at once: one that is slow keeps no other waiting."""
        settings = self._live()
        wanted = {}
        for name, listen in (settings.served() if settings is not None else {}).items():
            tls = listen.tls
            if tls is not None and tls.client_crl_url is not None and tls.client_crl is not None and tls.client_ca is not None:
                wanted[tls.client_crl_url, tls.client_crl] = name, tls.client_ca
        now = time.monotonic()
        self._due = {key: due for key, due in self._due.items() if key in wanted}
        due = [key for key in wanted if self._due.get(key, now) <= now]
        renewed = await asyncio.gather(*[self._renew(wanted[key][0], *key, wanted[key][1]) for key in due])
        for key, fresh in zip(due, renewed, strict=True):
            self._due[key] = now + (key[0].every if fresh else min(key[0].every, RETRY))

    async def _renew(self, listener: str, source: CrlSource, path: Path, authorities: Path) -> bool:
        try:
            answer = await self._fetch.get(
                source.url,
                limit=regular.MOST,
                timeout=TIMEOUT,
                allow_plaintext=source.allow_plaintext,
                allow_private=source.allow_private,
                ca=str(source.ca) if source.ca is not None else None,
            )
            if answer.status != 200:
                raise DependencyDown(f"answered {answer.status}")
            async with self._writing:  # a file may be named twice
                await asyncio.to_thread(_take, answer.body, path, authorities)
        except (DependencyDown, ValueError, OSError) as error:
            log.warning(
                "a revocation list could not be renewed, the one before stays", extra={"listener": listener, "cause": str(error)}
            )
            self._metrics.count("gateway.tls.crl.fetches", listener=listener, outcome="failure")
            return False
        self._metrics.count("gateway.tls.crl.fetches", listener=listener, outcome="success")
        return True


def _take(raw: bytes, path: Path, authorities: Path) -> None:
    """Raises ValueError and OSError, and then the file is as it was."""
    before = regular.content(path)
    after = merged(raw, before, x509.load_pem_x509_certificates(regular.content(authorities)), time.time())
    if after != before:
        replace(path, after, MODE)


def merged(raw: bytes, before: bytes, authorities: Sequence[x509.Certificate], now: float) -> bytes:
    """The lists of a file with a fetched one (PEM or DER) in place of its issuer's. Raises ValueError where it must not be."""
    new = x509.load_pem_x509_crl(raw) if PEM.search(raw) else x509.load_der_x509_crl(raw)
    _judge(new, authorities, now)
    kept = []
    for text in PEM.findall(before):
        old = x509.load_pem_x509_crl(text)
        if old.issuer != new.issuer:
            kept.append(text.strip() + b"\n")
        elif old.last_update_utc > new.last_update_utc or _number(old) > _number(new):
            raise ValueError("an older list than the one that is there")
    return b"".join([*kept, new.public_bytes(Encoding.PEM)])


def _judge(new: List, authorities: Sequence[x509.Certificate], now: float) -> None:
    if not any(authority.subject == new.issuer and _signed(new, authority) for authority in authorities):
        raise ValueError("no authority of `client_ca` signed it")
    if any(extension.critical for extension in new.extensions):
        raise ValueError("it speaks about some certificates or changes only (a critical extension), and would pass for all")
    if new.last_update_utc.timestamp() > now + SKEW:
        raise ValueError("it is not in force yet")
    if new.next_update_utc is None or new.next_update_utc.timestamp() <= now:
        raise ValueError("it has ended, or never does")


def _signed(new: List, authority: x509.Certificate) -> bool:
    key: Any = authority.public_key()
    try:
        return new.is_signature_valid(key)
    except (TypeError, UnsupportedAlgorithm):
        return False


def _number(found: List) -> int:
    """RFC 5280 5.2.3; -1 where it has none."""
    try:
        return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return -1
