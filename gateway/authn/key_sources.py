"""Where an issuer's JWK set comes from: a URL, discovery, or a file. One fetch each, no memory of earlier ones."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, final
from urllib.parse import urlsplit, urlunsplit

from gateway.authn import strict_json
from gateway.authn.jwks_model import Jwks
from gateway.authn.urls import check_url
from gateway.config.regular import content
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, SecretSource

MAX_BYTES: Final = 256 * 1024
FETCH_SECONDS: Final = 10.0
SHORTEST: Final = 60.0
LONGEST: Final = 24 * 3600.0
UNSTATED: Final = 600.0
"""Freshness of an answer that states none, in seconds."""
FILE_SECONDS: Final = 5.0
MAX_AGE: Final = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?([0-9]{1,10})"?\s*(?=,|$)', re.ASCII | re.IGNORECASE)


class KeySource(Protocol):
    """One way to a JWK set document."""

    local: bool
    """A local file never grows stale: what was read last counts until it is replaced."""

    async def load(self) -> tuple[bytes, float]:
        """The document and the seconds until it should be asked for again. Raises DependencyDown."""
        ...


@final
class UrlSource:
    """A JWK set at a configured URL."""

    local = False

    def __init__(self, url: str, jwks: Jwks, fetch: Fetch, bearer: SecretSource | None = None) -> None:
        self._url = url
        self._jwks = jwks
        self._fetch = fetch
        self._bearer = bearer

    async def load(self) -> tuple[bytes, float]:
        return await _document(self._fetch, self._url, self._jwks, self._bearer)


@final
class DiscoverySource:
    """A JWK set found through the issuer's metadata: OpenID Connect Discovery 4, else RFC 8414 3."""

    local = False

    def __init__(self, issuer: str, jwks: Jwks, fetch: Fetch, bearer: SecretSource | None = None) -> None:
        """`bearer` is shown to the issuer's own host and port alone, wherever its metadata say that the keys are."""
        self._issuer = issuer
        self._jwks = jwks
        self._fetch = fetch
        self._bearer = bearer

    async def load(self) -> tuple[bytes, float]:
        """The metadata must name the configured issuer itself (RFC 8414 3.3), else anybody's keys could be slipped in."""
        try:
            raw, _ = await _document(self._fetch, openid_url(self._issuer), self._jwks, self._bearer)
        except DependencyDown:
            raw, _ = await _document(self._fetch, oauth_url(self._issuer), self._jwks, self._bearer)
        url = self._keys_url(_metadata(raw))
        bearer = self._bearer if urlsplit(url)[:2] == urlsplit(self._issuer)[:2] else None
        return await _document(self._fetch, url, self._jwks, bearer)

    def _keys_url(self, metadata: Mapping[str, Any]) -> str:
        if metadata.get("issuer") != self._issuer:
            raise DependencyDown("the discovery document is another issuer's")
        url = metadata.get("jwks_uri")
        try:
            check_url(url if isinstance(url, str) else "", self._jwks.allow_plaintext)
        except ValueError as error:
            raise DependencyDown(f"jwks_uri of the discovery document: {error}") from error
        return str(url)


@final
class FileSource:
    """A JWK set in a local file."""

    local = True

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> tuple[bytes, float]:
        return await asyncio.to_thread(self.read), FILE_SECONDS

    def read(self) -> bytes:
        """The file's bytes, at most MAX_BYTES. Raises DependencyDown."""
        try:
            raw = content(self._path, MAX_BYTES)
        except OSError as error:
            raise DependencyDown(f"{self._path}: {error.strerror or 'cannot be read'}") from error
        if len(raw) > MAX_BYTES:
            raise DependencyDown(f"{self._path}: larger than {MAX_BYTES} bytes")
        return raw


def build(issuer: str, jwks: Jwks, fetch: Fetch, bearer: SecretSource | None = None) -> KeySource:
    """The source that a configuration entry names; `bearer` is what it is asked with."""
    if jwks.file is not None:
        return FileSource(jwks.file)
    if jwks.url is not None:
        return UrlSource(jwks.url, jwks, fetch, bearer)
    return DiscoverySource(issuer, jwks, fetch, bearer)


def openid_url(issuer: str) -> str:
    """OpenID Connect Discovery 4: the path is appended to the issuer."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def oauth_url(issuer: str) -> str:
    """RFC 8414 3: the path is inserted between the issuer's host and its path."""
    parts = urlsplit(issuer)
    return urlunsplit((parts.scheme, parts.netloc, "/.well-known/oauth-authorization-server" + parts.path.rstrip("/"), "", ""))


def freshness(headers: Mapping[str, str]) -> float:
    """Seconds an answer is fresh by its Cache-Control (RFC 9111 5.2.2.1), from a minute to a day."""
    found = MAX_AGE.search(headers.get("cache-control", ""))
    stated = float(found[1]) if found else UNSTATED
    return min(max(stated, SHORTEST), LONGEST)


async def _document(fetch: Fetch, url: str, jwks: Jwks, bearer: SecretSource | None) -> tuple[bytes, float]:
    headers = None if bearer is None else {"authorization": f"Bearer {bearer.current().reveal().decode('ascii', 'replace')}"}
    answer = await fetch.get(
        url,
        limit=MAX_BYTES,
        timeout=FETCH_SECONDS,
        allow_plaintext=jwks.allow_plaintext,
        allow_private=jwks.allow_private,
        ca=str(jwks.ca) if jwks.ca else None,
        headers=headers,
    )
    if answer.status != 200:
        raise DependencyDown(f"{urlsplit(url).netloc}: answered {answer.status}")
    return answer.body, freshness(answer.headers)


def _metadata(raw: bytes) -> dict[str, Any]:
    try:
        metadata = strict_json.loads(raw)
    except ValueError as error:
        raise DependencyDown("the discovery document is not JSON") from error
    if not isinstance(metadata, dict):
        raise DependencyDown("the discovery document is not an object")
    return metadata
