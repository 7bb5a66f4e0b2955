"""What ends by itself, and in how many days: certificates, revocation lists, API keys, tokens.

Secrets are looked into only where they say by themselves when they end; nothing of them is told but the day.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from gateway.authn import key_file
from gateway.authz.lint import named
from gateway.config import shape
from gateway.config.document import Steps
from gateway.config.regular import content
from gateway.core.errors import ConfigError, DependencyDown, Problem
from gateway.doctor import keys
from gateway.settings import Loaded, Settings
from gateway.settings.secrets import references

DAY: Final = 86400.0
LONGEST: Final = 1024 * 1024
"""Bytes of a file that is looked into for certificates."""
MOST: Final = 64
"""Certificates of one file that are told."""
CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
LIST: Final = b"-----BEGIN X509 CRL-----"


def ending(loaded: Loaded, settings: Settings, now: float, within: float) -> list[Problem]:
    """Everything that ended, or ends in less than `within` seconds from `now`, Unix time."""
    found = Calendar(loaded, now, within)
    return [*_certificates(loaded, found), *_keys(loaded, settings, found), *_tokens(loaded, found)]


class Calendar:
    """Makes findings of moments that are near."""

    def __init__(self, loaded: Loaded, now: float, within: float) -> None:
        self._loaded = loaded
        self._now = now
        self._within = within

    def __call__(self, rule: str, path: Steps, what: str, end: float, hint: str) -> Iterator[Problem]:
        left = end - self._now
        if left < self._within:
            severity = "error" if left <= 0 else "warning"
            yield named(rule, self._loaded.problem(path, f"{what} {when(left)}", hint, severity=severity))


def when(left: float) -> str:
    """In words, what ends in so many seconds, or did."""
    days = int(abs(left) // DAY)
    if left <= 0:
        return f"ended {days} days ago" if days else "ended within the last day"
    return f"ends in {days} days" if days else "ends within a day"


def _certificates(loaded: Loaded, found: Calendar) -> Iterator[Problem]:
    """Every file that the configuration names and that holds certificates or a revocation list."""
    for path in shape.paths(Settings, loaded.source.value):
        file = Path(reduce(shape.item, path, loaded.source.value))
        with suppress(OSError, ValueError):
            text = content(file, LONGEST)
            if CERTIFICATE in text:
                for each in x509.load_pem_x509_certificates(text)[:MOST]:
                    yield from found(
                        "certificate-ends", path, _subject(each, file), each.not_valid_after_utc.timestamp(), "renew it"
                    )
            if LIST in text and (update := x509.load_pem_x509_crl(text).next_update_utc) is not None:
                yield from found("revocations-end", path, f"the list {file.name}", update.timestamp(), "fetch a newer one")


def _subject(certificate: x509.Certificate, file: Path) -> str:
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return f"the certificate {names[0] if names else certificate.subject.rfc4514_string() or 'without a subject'} in {file.name}"


def _keys(loaded: Loaded, settings: Settings, found: Calendar) -> Iterator[Problem]:
    """API keys of the file."""
    model, at = settings.authentication.api_keys, ("authentication", "api_keys", "file")
    entries = []
    if model is not None:
        with suppress(ConfigError):  # told by the build
            entries = key_file.of(model.file)
    yield from keys.ends(entries, at, found)
    yield from keys.endless(loaded, entries, at)


def _tokens(loaded: Loaded, found: Calendar) -> Iterator[Problem]:
    """Secrets that say themselves when they end."""
    for path, reference in references(loaded.source):
        with suppress(ValueError, DependencyDown):
            end = end_of(loaded.secrets(reference).current().reveal())
            if end is not None:
                yield from found("secret-ends", path, "the secret", end, "put a new one in its place")


def end_of(secret: bytes) -> float | None:
    """When a secret ends by its own words, None where it has none: a JWT's `exp` (RFC 7519 4.1.4), `Expiration` of AWS keys."""
    parts = secret.split(b".")
    try:
        if len(parts) == 3:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
            return _number(claims.get("exp")) if isinstance(claims, dict) else None
        document: Any = json.loads(secret) if secret.startswith(b"{") else None
        text = document.get("Expiration") if isinstance(document, dict) else None
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError, RecursionError):
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
