"""JWTs with which clients prove who they are (RFC 7523 2.2 and 3, OpenID Connect Core 9 `private_key_jwt`)."""

from collections.abc import Mapping
from typing import Any, Final, final

from gateway.authn import key_sources
from gateway.authn.jwk import SIGNATURE
from gateway.authn.jwks import PublishedKeys
from gateway.authn.jwks_model import Jwks
from gateway.authn.jwt import Verifier
from gateway.authn.model import JwtIssuer
from gateway.authn.token import Malformed, Token
from gateway.core.errors import ConfigError, DependencyDown, Problem, Theft, Unauthenticated
from gateway.core.ports import CLOCKS, Clock, Fetch, Metrics, Once
from gateway.tokens.model import Client

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES: Final = ["JWT", "client-authentication+jwt"]
"""Never `at+jwt`, `dpop+jwt` or `logout+jwt`: what was signed for another purpose proves nothing here (RFC 8725 3.11)."""
LONGEST_BYTES: Final = 8192
LONGEST: Final = 600.0
"""Seconds from now to the end of one: so long it is remembered that it was used."""
LEEWAY: Final = 30.0
MAX_JTI: Final = 256


@final
class Assertions:
    """Judges them for all clients that have keys."""

    def __init__(
        self,
        models: Mapping[str, Client],
        audience: list[str],
        fetch: Fetch,
        clock: Clock,
        metrics: Metrics,
        once: Once,
    ) -> None:
        """`audience` is what one may be for: the issuer, or the endpoint it is sent to. Raises ConfigError for a bad file."""
        self._once = once
        self._now = clock.now
        self._keys: dict[str, PublishedKeys] = {}
        self._verifiers: dict[str, Verifier] = {}
        for name, model in models.items():
            if model.jwks is not None:
                keys = self._keys[name] = published(name, model.jwks, fetch, clock, metrics)
                self._verifiers[name] = Verifier(name, judged(name, model, audience), keys, clock, b"assertion")

    async def signer(self, raw: bytes) -> str:
        """The id of the client that signed this, for us, once. Raises Unauthenticated and DependencyDown."""
        try:
            token = Token(raw, LONGEST_BYTES)
        except Malformed as error:
            raise Unauthenticated(f"client assertion: {error}") from error
        claims, name = token.payload, token.issuer or ""
        verifier = self._verifiers.get(name)
        if verifier is None:
            raise Unauthenticated("client assertion: no such client")
        await verifier.verify(token)
        jti, end = claims["jti"], claims["exp"]
        if claims["sub"] != name or not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
            raise Unauthenticated("client assertion: `sub` or `jti` is not usable")
        if end > self._now() + LONGEST + LEEWAY:
            raise Unauthenticated("client assertion: counts for too long")
        if not await self._once.first(f"assertion:{name}:{jti}", end - self._now() + LEEWAY + CLOCKS):
            replayed = Unauthenticated("client assertion: it was used before", genuine=True)
            replayed.theft = Theft("token.replayed", "clients", name)
            raise replayed
        return name

    def start(self) -> None:
        """Begin to keep keys fresh."""
        for keys in self._keys.values():
            keys.start()

    async def close(self) -> None:
        """End all background work."""
        for keys in self._keys.values():
            await keys.close()

    def status(self) -> dict[str, Any]:
        """For the operators' page."""
        return {f"clients.{name}": keys.status() for name, keys in self._keys.items()}


def judged(name: str, model: Client, audience: list[str]) -> JwtIssuer:
    """How the verifier of all tokens judges these."""
    return JwtIssuer.model_construct(
        issuer=name,
        audience=audience,
        jwks=model.jwks,
        algorithms=list(model.algorithms),
        types=TYPES,
        leeway=LEEWAY,
        required_claims=["exp", "jti", "sub"],
        max_bytes=LONGEST_BYTES,
    )


def published(name: str, jwks: Jwks, fetch: Fetch, clock: Clock, metrics: Metrics) -> PublishedKeys:
    """The keys of one client: a file is read now, what is fetched is fetched later. Raises ConfigError."""
    source = key_sources.build(name, jwks, fetch, None)
    keys = PublishedKeys(f"client {name}", source, clock, metrics, use=SIGNATURE)
    if isinstance(source, key_sources.FileSource):
        try:
            keys.accept(source.read(), key_sources.FILE_SECONDS)
        except (DependencyDown, ValueError) as error:
            raise ConfigError([Problem(str(jwks.file), 0, 0, f"clients.{name}.jwks.file", str(error))]) from error
    return keys
